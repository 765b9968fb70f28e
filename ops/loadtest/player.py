"""Plays one game against a running gateway: users, stages, checks and the last summary, all in one event loop."""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from uuid import uuid4

from ops import OpsError
from ops.benchmarks.stages import WORKS
from ops.chaostest.summary_probe import now_ms
from ops.loadtest.books import NAMES, ProcessorAdmin, ask_gateway, ask_processors, query_of
from ops.loadtest.client import NO_ANSWER, LoadClient
from ops.loadtest.games import CHECK_FROM_S, Arrival, Game, arrivals
from ops.loadtest.latencies import PostedPayment
from ops.loadtest.score import PaidTotal, count_differences

FIRST_STAGE_S = 1.0
"""When the first stage is set, although it counts from the beginning."""
SLEEP_S = 1.0
"""How long a user sleeps after an answer, and how long after the last answer the last summary is asked for."""
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
"""Answers of a gateway that refuses to be purged. One without a purge answers otherwise, and is played against."""


@dataclass(frozen=True, slots=True)
class ConsistencyCheck:
    """One check of the gateway's summary against the processors' own, by processor."""

    at_s: float
    status: int
    """The status of the gateway's answer."""
    took_ms: float
    ours: Mapping[str, int]
    theirs: Mapping[str, int | None]
    """Payments in the processors' own summaries; None for a processor that did not answer."""
    differences: int | None
    """How many payments differ; None if a processor did not answer, so that this is unknown."""


@dataclass(slots=True)
class GameRecord:
    """What happened in a game; moments are in seconds from its beginning."""

    began_ms: int = 0
    """When it began, in milliseconds since the epoch."""
    posts: list[PostedPayment] = field(default_factory=list)
    """Posts in the order in which they ended."""
    latencies_ms: list[float] = field(default_factory=list)
    """The latencies that count for the score: of all requests that succeeded, also those to processors."""
    checks: list[ConsistencyCheck] = field(default_factory=list)
    accepted: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    """The number of posts by the status of their answer."""
    summary: Mapping[str, PaidTotal] = field(default_factory=dict)
    """The gateway's own last summary, with the processors' fees."""
    ledgers: Mapping[str, PaidTotal | None] = field(default_factory=dict)
    """The processors' own last summaries; None for one that did not answer."""
    is_purged: bool = False
    """Whether the gateway was purged before the game."""


class Player:
    """Plays one game once."""

    def __init__(self, game: Game, gateway_url: str, processor_urls: Mapping[str, str], token: str) -> None:
        """Prepare a game; `token` is the one that the processors require before it.

        Raises:
            OpsError: an address cannot be used.
        """
        self.game = game
        self.record = GameRecord()
        """The record of the game, which grows while it is played."""
        self.began_s = 0.0
        """When the game began, on the monotonic clock."""
        self._token = token
        self._gateway = LoadClient(gateway_url, self.record.latencies_ms)
        clients = {name: LoadClient(processor_urls[name], self.record.latencies_ms) for name in NAMES}
        self.admins = {name: ProcessorAdmin(name, client, token) for name, client in clients.items()}
        """The administrations of the processors by their names."""
        self.not_restored: list[str] = []
        """What could not be restored at the processors after the game, and why."""
        self._users = [LoadClient(gateway_url, self.record.latencies_ms) for _ in game.spans]
        self._clients = [self._gateway, *clients.values(), *self._users]
        self._payment = b'{"correlationId":"%%b","amount":%b}' % str(game.amount).encode()

    @property
    def now_s(self) -> float:
        """How many seconds of the game have passed."""
        return time.monotonic() - self.began_s

    async def play(self) -> None:
        """Play from the purge to the last summary; leave the processors working, with the token and fee of before.

        Failures of the latter are noted in `not_restored`.

        Raises:
            OpsError: the gateway is away or may not be purged, and nothing was changed; or a processor does not do what
                its administration is asked for.
        """
        try:
            await self._find_gateway()
            # Fees first: nothing is deleted if a processor is away, and no processor is changed if no purge is allowed.
            fees = {name: await admin.fee() for name, admin in self.admins.items()}
            await self._purge_gateway()
            await self._play_with(fees)
        finally:
            for client in self._clients:
                client.close()

    async def _play_with(self, fees: Mapping[str, Decimal]) -> None:
        try:
            await self._set_up()
            self.record.began_ms, self.began_s = now_ms(), time.monotonic()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._post_all(group))
                    group.create_task(self._set_stages())
                    group.create_task(self._check_all())
            except ExceptionGroup as errors:
                raise next((each for each in errors.exceptions if isinstance(each, OpsError)), errors) from errors
            await self._tear_down()
        finally:
            await asyncio.gather(*(self._restore(admin, fees[admin.name]) for admin in self.admins.values()))

    async def _find_gateway(self) -> None:
        at_ms = now_ms()
        answer = await self._gateway.ask("GET", f"/payments-summary{query_of(at_ms, at_ms)}")
        if answer.status == NO_ANSWER:
            raise OpsError(f"{self._gateway.url}: no answer: start the gateway; --url says where it is")

    async def _purge_gateway(self) -> None:
        self.record.latencies_ms.clear()
        answer = await self._gateway.ask("POST", "/purge-payments")
        if answer.status in REFUSED:
            raise OpsError(
                f"{self._gateway.url} refuses to delete its payments (status {answer.status}), as a game needs: start "
                "it with ALLOW_PURGE=1"
            )
        self.record.is_purged = answer.status // 100 == 2  # noqa: PLR2004 - HTTP's successes

    async def _set_up(self) -> None:
        counted = self.record.latencies_ms.copy()
        # The processors are set as simulated ones are when they start; the event starts new ones for each gateway.
        for admin in self.admins.values():
            await admin.set_fee(self.game.fees[admin.name])
            await admin.set_delay(WORKS)
            await admin.set_failure(WORKS)
        self.record.latencies_ms[:] = counted
        token = secrets.token_hex(16)
        for admin in self.admins.values():
            await admin.change_token(token)
        for admin in self.admins.values():
            await admin.purge()

    async def _restore(self, admin: ProcessorAdmin, fee: Decimal) -> None:
        # The token comes first: only this program knows the game's, and all else can be restored by hand with it.
        await self._attempt(admin.change_token(self._token))
        await self._attempt(admin.set_delay(WORKS))
        await self._attempt(admin.set_failure(WORKS))
        await self._attempt(admin.set_fee(fee))

    async def _attempt(self, change: Awaitable[None]) -> None:
        try:
            await change
        except OpsError as error:
            self.not_restored.append(str(error))

    async def _post_all(self, group: asyncio.TaskGroup) -> None:
        for arrival in arrivals(self.game.spans):
            await asyncio.sleep(max(0.0, arrival.at_s - self.now_s))
            group.create_task(self._post(arrival))
        await asyncio.sleep(max(0.0, self.game.duration_s - self.now_s))

    async def _post(self, arrival: Arrival) -> None:
        body = self._payment % str(uuid4()).encode()
        answer = await self._users[arrival.user].ask("POST", "/payments", body)
        sent_s, ended_s = answer.sent_s - self.began_s, answer.received_s - self.began_s
        post = PostedPayment(arrival.at_s, sent_s, ended_s, answer.status)
        self.record.posts.append(post)
        self.record.statuses[answer.status] += 1
        self.record.accepted += post.is_accepted

    async def _set_stages(self) -> None:
        for stage in self.game.stages:
            await asyncio.sleep(max(0.0, max(stage.from_s, FIRST_STAGE_S) - self.now_s))
            pairs = [(self.admins["default"], stage.default), (self.admins["fallback"], stage.fallback)]
            for admin, condition in pairs:
                await admin.set_delay(condition)
            for admin, condition in pairs:
                await admin.set_failure(condition)

    async def _check_all(self) -> None:
        next_s = 0.0
        while next_s < self.game.duration_s:
            await asyncio.sleep(max(0.0, next_s - self.now_s))
            await self._check()
            next_s = self.now_s + self.game.check_step_s

    async def _check(self) -> None:
        at_s, asked_ms = self.now_s, now_ms()
        until_ms = asked_ms - round(self.game.check_until_s * 1000)
        window = query_of(asked_ms - round(CHECK_FROM_S * 1000), until_ms)
        gateway = asyncio.create_task(self._ask_gateway(window))
        ledgers = await ask_processors(self.admins, window)
        status, summary, took_ms = await gateway
        ours = {name: total.requests for name, total in summary.items()}
        told = {name: total.requests for name, total in ledgers.items() if total is not None}
        is_complete = len(told) == len(ledgers)
        found = count_differences(ours, told, by_processor=self.game.differences_by_processor) if is_complete else None
        theirs = {name: told.get(name) for name in ledgers}
        self.record.checks.append(ConsistencyCheck(at_s, status, took_ms, ours, theirs, found))

    async def _ask_gateway(self, window: str) -> tuple[int, dict[str, PaidTotal], float]:
        began_s = time.monotonic()
        status, summary = await ask_gateway(self._gateway, window)
        return status, summary, (time.monotonic() - began_s) * 1000

    async def _tear_down(self) -> None:
        last_s = max((post.ended_s for post in self.record.posts), default=0.0)
        await asyncio.sleep(max(0.0, last_s + SLEEP_S - self.now_s))
        to_ms = now_ms()
        window = query_of(to_ms - round(self.game.summary_s * 1000), to_ms)
        # The event asks one after the other, too; the window's end is that of the first question for all of them.
        self.record.ledgers = {name: await admin.total(window) for name, admin in self.admins.items()}
        _, summary = await ask_gateway(self._gateway, window)
        self.record.summary = {
            name: PaidTotal(total.requests, total.amount, self.game.fees[name]) for name, total in summary.items()
        }
        # Requests from now on, which leave the processors working, are not part of the game.
        self.record.latencies_ms = list(self.record.latencies_ms)
