"""Watches a game while it is played: once a second for the report, every two seconds for a line of progress."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from ops.benchmarks.connection import LoadAnswer
from ops.console import Console
from ops.loadtest.books import ProcessorAdmin, ask_processors
from ops.loadtest.client import LoadClient
from ops.loadtest.outcome import describe_condition
from ops.loadtest.player import Player

LOOK_STEP_S = 1.0
LOOKS_PER_LINE = 2
HEAD = f"{'second':>7}{'a second':>9}{'accepted':>9}{'failed':>8}{'waiting':>8}  default / fallback: stage; breakers"


class _ToldBreaker(msgspec.Struct):
    state: str


class _ToldProcessor(msgspec.Struct):
    breaker: _ToldBreaker


@dataclass(frozen=True, slots=True)
class GameMoment:
    """The figures of one moment of a game."""

    at_s: float
    accepted: int
    paid: Mapping[str, int] | None
    """Charges that each processor has booked; None where one of them did not answer."""
    breakers: Mapping[str, str]
    """States of the breakers on the replica that answered; none where the gateway does not tell."""

    @property
    def waiting(self) -> int | None:
        """Payments that were accepted and are not booked yet; None where it is not known."""
        return None if self.paid is None else max(0, self.accepted - sum(self.paid.values()))


class GameWatch:
    """Reads figures while a game is played. Its requests do not count for the score."""

    def __init__(self, player: Player, gateway_url: str, processor_urls: Mapping[str, str], console: Console) -> None:
        self.moments: list[GameMoment] = []
        """The figures that were read so far."""
        self._player = player
        self._page = f"{gateway_url.rstrip('/')}/"
        self._gateway = LoadClient(gateway_url)
        self._admins = {name: ProcessorAdmin(name, LoadClient(processor_urls[name]), "") for name in player.admins}
        self._console = console

    async def watch(self) -> NoReturn:
        """Read figures until cancelled."""
        before_s, posts_before = 0.0, 0
        while True:
            await asyncio.sleep(LOOK_STEP_S)
            if not self._player.record.began_ms:
                continue
            if not self.moments:
                self._announce()
            self.moments.append(await self._look())
            if len(self.moments) % LOOKS_PER_LINE == 0:
                at_s, posts = self._player.now_s, len(self._player.record.posts)
                self._show(self.moments[-1], (posts - posts_before) / (at_s - before_s))
                before_s, posts_before = at_s, posts

    def _announce(self) -> None:
        self._console.say(f"live page: {self._page}")
        if not self._console.draws:
            self._console.say(HEAD)

    async def _look(self) -> GameMoment:
        accepted = self._player.record.accepted
        for name, admin in self._admins.items():
            admin.token = self._player.admins[name].token
        totals = await ask_processors(self._admins)
        answer = await self._gateway.ask("GET", "/processors")
        paid = {name: total.requests for name, total in totals.items() if total is not None}
        known = paid if len(paid) == len(totals) else None
        return GameMoment(self._player.now_s, accepted, known, _read_breakers(answer))

    def _show(self, moment: GameMoment, rate: float) -> None:
        record = self._player.record
        stage = max(
            (stage for stage in self._player.game.stages if stage.from_s <= moment.at_s), key=lambda each: each.from_s
        )
        breakers = " / ".join(moment.breakers.values()) or "-"
        conditions = f"{describe_condition(stage.default)} / {describe_condition(stage.fallback)}"
        waiting = "?" if moment.waiting is None else moment.waiting
        failed = len(record.posts) - record.accepted
        if self._console.draws:
            figures = f"{rate:.0f}/s, {record.accepted} accepted, {failed} failed, {waiting} waiting"
            self._console.draw(f"{figures} | {conditions} | {breakers}", moment.at_s / self._player.game.duration_s)
        else:
            figures = f"{moment.at_s:7.0f}{rate:9.0f}{record.accepted:9}{failed:8}{waiting:>8}"
            self._console.say(f"{figures}  {conditions}; {breakers}")


def _read_breakers(answer: LoadAnswer) -> dict[str, str]:
    """Read the states of breakers from `GET /processors`, which other gateways answer with anything or not at all."""
    try:
        told = msgspec.json.decode(answer.body, type=dict[str, _ToldProcessor])
    except msgspec.MsgspecError:
        return {}
    return {name: processor.breaker.state for name, processor in told.items()}
