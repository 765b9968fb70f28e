"""Remembers which Postgres a replica has seen last, in a file beside its journal."""

import json
from dataclasses import asdict
from pathlib import Path

from actors.domain.records import SeenStore, StoreIdentity
from actors.logs import get_logger

logger = get_logger(__name__)

FILE_NAME = "postgres.json"


class FileStoreMemory:
    """Fulfils `actors.store_watch.StoreMemory` with a file in the folder of the journal, whose lock guards it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._written: SeenStore | None = None
        self._failed = False

    def seen(self) -> SeenStore | None:
        """Read what was remembered last; None where there is no file yet, or none that can be read."""
        try:
            told = json.loads(self._path.read_bytes())
            positions = int(told["position"]), int(told["noted_position"])
            mark = int(told.get("mark", 0))  # The release before did not write it.
            identity = StoreIdentity(str(told["system_id"]), int(told["timeline"]), *positions, mark=mark)
            forgot_at_ms = told["forgot_at_ms"]
            return SeenStore(identity, None if forgot_at_ms is None else int(forgot_at_ms))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.error(  # noqa: TRY400  # the cause is in the message
                "a file cannot be read: it is not known whether Postgres is the same",
                path=str(self._path),
                reason=str(error),
            )
            return None

    def remember(self, seen: SeenStore) -> None:
        """Write it, unless that is what was written last. If the disk fails, the file stays, and one line tells so."""
        if seen == self._written:
            return
        unfinished = self._path.with_suffix(".unfinished")
        try:
            unfinished.write_text(json.dumps(asdict(seen.identity) | {"forgot_at_ms": seen.forgot_at_ms}))
            unfinished.replace(self._path)
        except OSError as error:
            if not self._failed:
                logger.warning("a file cannot be written", path=str(self._path), reason=error.strerror)
            self._failed = True
        else:
            self._written, self._failed = seen, False
