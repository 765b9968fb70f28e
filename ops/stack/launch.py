"""Runs a command that ends when its parent dies: `python launch.py PARENT SIGNAL UID COMMAND...`.

PARENT is the process id of the parent, SIGNAL the number of the signal that the command receives when the parent dies
(on Linux; elsewhere it may outlive the parent), UID the account to run the command as, or -1 to keep the present one.
This file uses the standard library alone and is run by its path with `-I -S`, so that it costs only some 15 ms.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP = 28, 4
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522


def become(uid: int) -> None:
    """Change from root to the account `uid`, keeping only root's access to files (CAP_DAC_OVERRIDE) where possible.

    PostgreSQL refuses to run as root, but another account cannot enter a checkout below a folder such as /root. With
    this capability it can, and no folder's permissions have to be changed.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None:
        # With this bit a change of account keeps capabilities, and access(2), which initdb calls, respects them.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    if libc is not None:
        # A container may forbid this. PostgreSQL then reports the folder that it cannot enter, if there is one.
        bit = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0))
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    """Replace this process by the command that the arguments name."""
    parent, signal_number, uid = (int(argument) for argument in sys.argv[1:4])
    command = sys.argv[4:]
    if uid != -1:
        become(uid)
    if sys.platform == "linux":
        # This comes after become(), because a change of account clears it. A parent that died before this call would
        # send no signal any more, hence the check.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:
            sys.exit(f"{command[0]}: the parent ended first")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted: the command is a list made by ops


if __name__ == "__main__":
    main()
