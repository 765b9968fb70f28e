"""Every error that Fiel raises on purpose."""

from uuid import UUID


class FielError(Exception):
    """Root of all errors that Fiel raises."""


class InvalidAmountError(FielError):
    """An amount that is no positive number of whole minor units within the limits."""


class SettingsError(FielError):
    """An environment variable is missing or malformed; the message names it."""


class MailboxFullError(FielError):
    """An actor has as many messages waiting as it may have, and refuses another of this kind."""


class JournalUnavailableError(FielError):
    """The journal could not be written, synced or read. Nothing of a group that was to be written is kept."""


class JournalLockedError(FielError):
    """Another living process owns this journal."""


class LedgerUnavailableError(FielError):
    """Postgres did not answer, or asked for the transaction to be tried again."""


class FencedError(LedgerUnavailableError):
    """This replica is not registered, or others have taken over from it.

    Nothing of the batch was written; or, if others took over in the middle of it, all but charges without a claim.
    """

    def __init__(self, disputed: tuple[UUID, ...] = ()) -> None:
        """`disputed` are payments of the batch that another charge has settled, which was not known before."""
        super().__init__("this replica is not registered, or others have taken over from it")
        self.disputed = disputed


class ForeignPlaceError(FielError):
    """A cursor names a place in the feed of another gateway."""


class LostPlaceError(FielError):
    """A place that the feed has not reached: it was given in a history of Postgres that was lost unnoticed."""


class ArchivedError(FielError):
    """What is asked for needs settlements that are archived."""


class HealthUnavailableError(FielError):
    """Redis or a processor's health endpoint did not answer."""


class PeersUnavailableError(FielError):
    """The other replicas cannot be told anything now."""


class StatusUnavailableError(FielError):
    """The states of the replicas cannot be shared now."""


class GatewayUnavailableError(FielError):
    """The gateway is starting, purging or stopping, or one of its actors does not answer; the client may try again."""


class LeaseLostError(FielError):
    """Others have taken over from this replica, or another process has its name."""
