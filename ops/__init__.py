"""What people run: up, test, migrations, and the processes behind them."""


class OpsError(Exception):
    """One line for whoever ran the command: what is wrong, and what to do about it."""
