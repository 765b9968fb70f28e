"""Carries what replicas tell and ask each other through a Redis stream of MessagePack arrays."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgpack
import msgspec
import redis

from actors.adapters.host_addresses import HostDirectory
from actors.adapters.redis_client import FOREIGN_EVENT, connect, is_foreign, run
from actors.domain.history_questions import HistoryAnswer, HistoryQuestion, ToldHistory, ToldStep
from actors.domain.money import BRL
from actors.domain.payment import Payment, from_peers, to_peers
from actors.domain.peers import PeerAnswer, PeerNews, PeerQuestion
from actors.errors import PeersUnavailableError
from actors.logs import get_logger
from actors.outages import OutageReporter

logger = get_logger(__name__)

ENTRIES_MAX = 1000
"""About how many entries the stream keeps. An entry holds what one replica told between two exchanges."""
HEARD_MAX = 200
"""The most entries that one call of `hear` gives."""
ENTRIES_AT_ONCE = 20
"""How many of them are in memory at once: after an outage each may tell of thousands of payments."""
GREATEST_ID = b"%d-%d" % (2**64 - 1, 2**64 - 1)
"""Nothing can follow an entry with this id, which Fiel never writes."""
TTL_S = 3600
"""The stream disappears when nothing has been written to it for this long."""

Decoded = TypeVar("Decoded")


class RedisPeerChannel:
    """Fulfils `actors.ports.PeerChannel`.

    Payments stand in the field that earlier releases read, which need no other; questions and answers in other fields.
    """

    def __init__(self, redis_url: str, hosts: HostDirectory, generation: int) -> None:
        """The connection is made on first use. Each generation has its own stream, so a purge drops the old one."""
        self._key = f"accepted:{generation}"
        self._last_id: bytes | str = "0"
        self._foreign = OutageReporter(logger, FOREIGN_EVENT, time.monotonic)
        self._redis = connect(redis_url, hosts)

    def tell(self, news: PeerNews) -> None:
        def add() -> None:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.xadd(self._key, _encode(news), maxlen=ENTRIES_MAX, approximate=True)  # type: ignore[arg-type]
            pipeline.expire(self._key, TTL_S)
            run(pipeline)

        self._use_stream(add)

    def hear(self) -> Iterator[PeerNews]:
        for page in range(HEARD_MAX // ENTRIES_AT_ONCE):
            try:
                answer = self._use_stream(lambda: self._redis.xread({self._key: self._last_id}, count=ENTRIES_AT_ONCE))
            except PeersUnavailableError:
                if page:
                    return  # What was heard can be answered; the next call tells of the failure.
                raise
            entries = answer[0][1] if answer else ()
            for entry_id, fields in entries:
                self._last_id = entry_id
                if news := _decode(fields):
                    yield news
            if self._last_id == GREATEST_ID:
                self._use_stream(lambda: self._replace("nothing can follow its last entry"))
            if len(entries) < ENTRIES_AT_ONCE:
                break

    def close(self) -> None:
        self._redis.close()

    def _use_stream(self, use: Callable[[], Any]) -> Any:  # noqa: ANN401  # what Redis answers
        """Use the stream; where something else has its key, delete that and use a new stream."""
        try:
            try:
                return use()
            except redis.ResponseError as error:
                if not is_foreign(error):
                    raise
                self._replace(error)
                return use()
        except redis.RedisError as error:
            raise PeersUnavailableError(f"Redis: {error}") from error

    def _replace(self, reason: object) -> None:
        self._foreign.occurred(key=self._key, reason=str(reason))
        self._last_id = "0"
        self._redis.delete(self._key)


class _Told(msgspec.Struct, array_like=True):
    """A payment as it stands in an entry."""

    id_bytes: bytes
    amount_minor: int
    accepted_at_ms: int
    currency: str = BRL
    is_decided: bool = False

    def payment(self) -> Payment:
        return from_peers(self.id_bytes, self.amount_minor, self.accepted_at_ms, self.currency)


def _encode(news: PeerNews) -> dict[str, bytes]:
    told = [*map(to_peers, news.accepted), *(to_peers(each, is_decided=True) for each in news.decided)]
    fields = {"replica": news.replica.encode()}
    if told:
        fields["payments"] = msgpack.packb(told)
    if news.question is not None:
        asked = [each.bytes for each in news.question.correlation_ids]
        fields["question"] = msgpack.packb((news.question.number, asked))
    if news.answers:
        fields["answers"] = msgpack.packb(
            [(each.asker, each.number, [denied.bytes for denied in each.denied]) for each in news.answers]
        )
    # Histories have the name in these two fields that earlier releases gave them.
    if news.histories_asked:
        fields["ways_asked"] = msgpack.packb(
            [(each.number, each.correlation_id.bytes) for each in news.histories_asked]
        )
    if news.histories:
        fields["ways"] = msgpack.packb([(each.asker, each.number, _told_of(each.history)) for each in news.histories])
    return fields


def _told_of(history: ToldHistory) -> tuple[object, ...]:
    return [(each.at_ms, each.what, each.processor) for each in history.steps], history.waits_for


def _decode(fields: dict[bytes, bytes]) -> PeerNews:
    """Decode one entry. A field that another version has written in another form counts as missing."""
    replica = fields.get(b"replica", b"").decode(errors="replace")
    told = _read(fields.get(b"payments"), _decode_payments) or []
    return PeerNews(
        replica,
        tuple(payment for payment, is_decided in told if not is_decided),
        tuple(payment for payment, is_decided in told if is_decided),
        _read(fields.get(b"question"), lambda data: _decode_question(replica, data)),
        _read(fields.get(b"answers"), _decode_answers) or (),
        _read(fields.get(b"ways_asked"), lambda data: _decode_histories_asked(replica, data)) or (),
        _read(fields.get(b"ways"), lambda data: _decode_histories(replica, data)) or (),
    )


def _read(data: bytes | None, decode: Callable[[object], Decoded]) -> Decoded | None:
    if data is None:
        return None
    try:
        return decode(msgpack.unpackb(data))
    except (ValueError, TypeError, msgpack.UnpackException):
        return None


def _decode_payments(data: object) -> list[tuple[Payment, bool]]:
    return [(each.payment(), each.is_decided) for each in msgspec.convert(data, list[_Told])]


def _decode_question(replica: str, data: object) -> PeerQuestion:
    number, asked = msgspec.convert(data, tuple[int, list[bytes]])
    return PeerQuestion(replica, number, _ids(asked))


def _decode_answers(data: object) -> tuple[PeerAnswer, ...]:
    answers = msgspec.convert(data, list[tuple[str, int, list[bytes]]])
    return tuple(PeerAnswer(asker, number, _ids(denied)) for asker, number, denied in answers)


def _decode_histories_asked(replica: str, data: object) -> tuple[HistoryQuestion, ...]:
    return tuple(
        HistoryQuestion(replica, number, UUID(bytes=id_bytes))
        for number, id_bytes in msgspec.convert(data, list[tuple[int, bytes]])
    )


def _decode_histories(replica: str, data: object) -> tuple[HistoryAnswer, ...]:
    told = msgspec.convert(data, list[tuple[str, int, tuple[list[tuple[int, str, str | None]], str | None]]])
    return tuple(
        HistoryAnswer(asker, number, ToldHistory(replica, tuple(ToldStep(*step) for step in steps), waits_for))
        for asker, number, (steps, waits_for) in told
    )


def _ids(texts: Sequence[bytes]) -> tuple[UUID, ...]:
    return tuple(UUID(bytes=each) for each in texts)
