"""The commands that people run (up, test, chaos, bench, migrations) and what they are made of."""


class OpsError(Exception):
    """A command cannot go on; the message is one line that says what is wrong and what to do about it."""
