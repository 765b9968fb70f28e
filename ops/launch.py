"""Run a command that ends with its parent: `python launch.py PARENT SIGNAL UID COMMAND...`.

Standard library only, and run by path with `-I -S`, so that it costs some 15 ms. PARENT is the pid that the command
must not outlive (Linux only; elsewhere it may), SIGNAL what it then gets, UID the account to run as, or -1 to keep it.
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
    """Give up root for `uid`, keeping nothing of it but access to files (CAP_DAC_OVERRIDE) where the kernel allows.

    PostgreSQL refuses to run as root, and the account it runs as instead cannot enter a checkout below a folder such
    as /root. The one capability opens the way without a change to any folder's permissions.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None:
        # Without the fixup a change of account keeps capabilities, and access(2), which initdb asks, counts them.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    if libc is not None:
        # A container may have forbidden it. Then PostgreSQL says which folder it cannot enter, if there is one.
        bit = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0))
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    """Replace this process by the command."""
    parent, signal_number, uid = (int(argument) for argument in sys.argv[1:4])
    command = sys.argv[4:]
    if uid != -1:
        become(uid)
    if sys.platform == "linux":
        # After become(): a change of account clears it. The parent may have died before: then nothing would tell.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:
            sys.exit(f"{command[0]}: the parent ended first")
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted: the command is a list made by ops


if __name__ == "__main__":
    main()
