"""The commands that people run (up, test, chaos, bench, migrations) and what they are made of."""

from enum import IntEnum


class OpsError(Exception):
    """A command cannot go on; the message is one line that says what is wrong and what to do about it."""


class ExitStatus(IntEnum):
    """The meanings of exit statuses; docs/operations.md lists what they are for each command."""

    KEPT = 0
    """It did what it was asked for, and every promise was kept or every target reached."""
    BROKEN = 1
    """A promise broke, a target was missed, or the gateway refused."""
    WRONG_USAGE = 2
    """The command line, or a variable that stands for an option, makes no sense."""
    NOT_RUN = 3
    """It could not be run or finished: a port, a server or a file is missing. Nothing is known of the promises."""
    INTERRUPTED = 130
    """It was ended by Ctrl-C or a signal before it had a result."""
