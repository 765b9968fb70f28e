"""The player plays by the event's rules against real processors, and finds a gateway out that lies or fails."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest

from ops import OpsError
from ops.benchmarks.connection import LoadAnswer
from ops.benchmarks.stages import Condition, Stage
from ops.loadtest.books import ProcessorAdmin
from ops.loadtest.client import NO_ANSWER, LoadClient
from ops.loadtest.games import CALM, FINAL, PREVIEW, Game, arrivals
from ops.loadtest.outcome import is_flawless, outcome, score_of
from ops.loadtest.player import GameRecord, Player
from tests.ops.loadtest.gateway import Answer, FakeGateway, listening
from tests.ops.simulator.harness import TOKEN, RunningSimulator, in_loop, simulator

SHORT = replace(CALM.resized(4, 2.0), check_step_s=0.5)


def summary(default: int, fallback: int = 0, amount: float = 19.9) -> Mapping[str, Mapping[str, float]]:
    counts = {"default": default, "fallback": fallback}
    return {name: {"totalRequests": count, "totalAmount": count * amount} for name, count in counts.items()}


def honest(method: str, path: str, _body: bytes) -> Answer | None:
    if path.startswith("/payments-summary"):
        return 200, summary(0)
    return (202, {}) if (method, path) == ("POST", "/payments") else (200, {})


class LossyClient(LoadClient):
    """Loses the answers to those requests, counted by path without query, of which `loses` is true."""

    def __init__(self, url: str, loses: Callable[[str, int], bool]) -> None:
        super().__init__(url)
        self._loses = loses
        self._asked: Counter[str] = Counter()

    async def ask(self, method: str, path: str, body: bytes = b"", token: str | None = None) -> LoadAnswer:
        self._asked[path.partition("?")[0]] += 1
        answer = await super().ask(method, path, body, token)
        is_lost = self._loses(path, self._asked[path.partition("?")[0]])
        return LoadAnswer(NO_ANSWER, b"", answer.sent_s, time.monotonic()) if is_lost else answer


def losing(game: "Played", name: str, loses: Callable[[str, int], bool]) -> None:
    simulated = {"default": game.default, "fallback": game.fallback}[name]
    client = LossyClient(f"http://127.0.0.1:{simulated.server.port}", loses)
    game.player.admins[name] = ProcessorAdmin(name, client, TOKEN)


@dataclass
class Played:
    player: Player
    gateway: FakeGateway
    default: RunningSimulator
    fallback: RunningSimulator

    @property
    def record(self) -> GameRecord:
        return self.player.record

    async def have_their_token(self) -> bool:
        answers = [await each.admin("GET", "/admin/payments-summary") for each in (self.default, self.fallback)]
        return [answer.status for answer in answers] == [200, 200]


@asynccontextmanager
async def prepared(game: Game, gateway: FakeGateway, token: str = TOKEN) -> AsyncIterator[Played]:
    async with simulator(fee="0.05") as default, simulator(fee="0.15") as fallback, listening(gateway) as url:
        urls = {
            name: f"http://127.0.0.1:{each.server.port}"
            for name, each in (("default", default), ("fallback", fallback))
        }
        yield Played(Player(game, url, urls, token), gateway, default, fallback)


@asynccontextmanager
async def played(game: Game, gateway: FakeGateway, token: str = TOKEN) -> AsyncIterator[Played]:
    async with prepared(game, gateway, token) as ready:
        await ready.player.play()
        yield ready


@in_loop
async def test_every_payment_of_the_ramp_is_posted_by_its_user() -> None:
    async with played(SHORT, FakeGateway(honest)) as game:
        expected = arrivals(SHORT.spans)
        assert sorted(post.intended_s for post in game.record.posts) == [arrival.at_s for arrival in expected]
        assert game.gateway.requests["POST /payments"] == game.record.accepted == len(expected)
        assert game.record.is_purged
        assert len(game.record.checks) >= 2
        assert {check.differences for check in game.record.checks} == {0}


@in_loop
async def test_all_requests_that_succeed_count_for_the_latency() -> None:
    async with played(SHORT, FakeGateway(honest)) as game:
        # Token and purge of two processors, the gateway's purge; four changes by a stage; three summaries by a check
        # and at the end.
        others = 2 * 2 + 1 + 4 * len(SHORT.stages) + 3 * len(game.record.checks) + 3
        assert len(game.record.latencies_ms) == len(game.record.posts) + others


@in_loop
async def test_a_summary_that_differs_is_found_and_fined() -> None:
    def lying(method: str, path: str, body: bytes) -> Answer | None:
        return (200, summary(1, 2)) if path.startswith("/payments-summary") else honest(method, path, body)

    async with played(SHORT, FakeGateway(lying)) as game:
        checks = game.record.checks
        assert [check.differences for check in checks] == [3] * len(checks)
        figures = outcome(SHORT, game.record)
        assert (figures["fine"], figures["differences"]) == (0.35, 3 * len(checks))
        assert not is_flawless(SHORT, game.record)


@in_loop
async def test_a_summary_that_does_not_answer_counts_as_nothing() -> None:
    def mute(method: str, path: str, body: bytes) -> Answer | None:
        return (500, {}) if path.startswith("/payments-summary") else honest(method, path, body)

    async with played(SHORT, FakeGateway(mute)) as game:
        assert {check.status for check in game.record.checks} == {500}
        assert {tuple(check.ours.values()) for check in game.record.checks} == {(0, 0)}


@in_loop
async def test_posts_that_are_refused_or_broken_off_have_failed() -> None:
    turns = iter(range(1000))

    def failing(method: str, path: str, body: bytes) -> Answer | None:
        if (method, path) != ("POST", "/payments"):
            return honest(method, path, body)
        return ((202, {}), (503, {}), None)[next(turns) % 3]

    async with played(SHORT, FakeGateway(failing)) as game:
        posts = len(game.record.posts)
        assert set(game.record.statuses) == {0, 202, 503}
        assert game.record.accepted == game.record.statuses[202] < posts
        assert outcome(SHORT, game.record)["failed"] == posts - game.record.accepted


@in_loop
async def test_the_preview_counts_the_gateways_own_summary_and_the_final_the_processors_books() -> None:
    def boasting(method: str, path: str, body: bytes) -> Answer | None:
        return (200, summary(1000)) if path.startswith("/payments-summary") else honest(method, path, body)

    async with played(PREVIEW.resized(2, 1.5), FakeGateway(boasting)) as game:
        scored = score_of(PREVIEW, game.record)
        assert scored is not None
        assert scored.profit == 18905
        assert scored.is_disqualified
        by_books = score_of(FINAL, game.record)
        assert by_books is not None
        assert by_books.profit == 0


@in_loop
async def test_processors_are_left_working_with_the_fee_and_the_token_of_before() -> None:
    down = replace(FINAL.resized(2, 1.5), stages=(Stage(0, Condition(2.0, 1), Condition(1.0, 1)),))
    async with played(down, FakeGateway(honest)) as game:
        fees = [total.fee for total in game.record.ledgers.values() if total is not None]
        assert fees == [Decimal("0.07"), Decimal("0.1")]
        for processor, fee in ((game.default, 0.05), (game.fallback, 0.15)):
            assert (await processor.admin("GET", "/admin/payments-summary")).json["feePerTransaction"] == fee
            assert processor.server.processor.delay_ms == 0
            assert not processor.server.processor.failing


@in_loop
async def test_the_last_summary_does_not_wait_for_a_check_that_will_not_come() -> None:
    async with played(replace(SHORT, check_step_s=1000.0), FakeGateway(honest)) as game:
        assert len(game.record.checks) == 1
        assert game.record.ledgers


@in_loop
async def test_a_change_that_fails_at_the_end_keeps_no_processor_from_its_token() -> None:
    async with prepared(SHORT, FakeGateway(honest)) as game:
        delay_at_the_end = 2 + len(SHORT.stages)
        losing(game, "default", lambda path, number: path.endswith("/delay") and number == delay_at_the_end)
        await game.player.play()
        assert [failure.partition(",")[2] for failure in game.player.not_restored] == [
            " delay: no answer; --default and --token say whom to ask how"
        ]
        assert game.record.ledgers
        assert await game.have_their_token()


@in_loop
async def test_a_change_of_the_token_that_is_not_answered_once_is_found_out() -> None:
    async with prepared(SHORT, FakeGateway(honest)) as game:
        losing(game, "fallback", lambda path, number: path.endswith("/token") and number == 1)
        await game.player.play()
        assert await game.have_their_token()


@in_loop
async def test_a_token_of_which_it_is_not_known_whether_it_was_changed_is_changed_back() -> None:
    async with prepared(SHORT, FakeGateway(honest)) as game:
        losing(game, "fallback", lambda path, number: path.endswith("/token") and number <= 2)
        with pytest.raises(OpsError, match="token: no answer"):
            await game.player.play()
        assert game.player.not_restored == []
        assert await game.have_their_token()


@in_loop
async def test_a_processor_that_does_not_answer_a_check_is_no_difference_of_the_gateway() -> None:
    async with prepared(SHORT, FakeGateway(honest)) as game:
        questions = 0

        def loses(path: str, _number: int) -> bool:
            nonlocal questions
            questions += "from=" in path
            return "from=" in path and questions == 2

        losing(game, "default", loses)
        await game.player.play()
        checks = game.record.checks
        assert [check.differences for check in checks] == [0, None, *[0] * (len(checks) - 2)]
        assert checks[1].theirs == {"default": None, "fallback": 0}
        assert not is_flawless(SHORT, game.record)


@in_loop
async def test_books_that_a_processor_does_not_tell_leave_the_score_unknown() -> None:
    async with prepared(FINAL.resized(2, 1.5), FakeGateway(honest)) as game:
        losing(game, "default", lambda path, _number: "from=" in path)
        await game.player.play()
        assert game.record.ledgers["default"] is None
        assert game.record.ledgers["fallback"] is not None
        assert outcome(FINAL, game.record)["score"] is None


@in_loop
async def test_another_token_is_told_in_one_line() -> None:
    with pytest.raises(OpsError, match="summary: status 401; --default and --token say whom to ask how"):
        async with played(SHORT, FakeGateway(honest), token="124"):
            pass


@in_loop
async def test_processors_that_are_away_are_told_in_one_line_and_nothing_is_deleted() -> None:
    gateway = FakeGateway(honest)
    async with listening(gateway) as url:
        away = dict.fromkeys(("default", "fallback"), "http://127.0.0.1:1")
        with pytest.raises(OpsError, match="summary: no answer"):
            await Player(SHORT, url, away, "").play()
    assert not gateway.requests["POST /purge-payments"]


def test_an_address_without_a_host_is_refused() -> None:
    with pytest.raises(OpsError, match=r"127\.0\.0\.1:9999 is no address"):
        Player(SHORT, "127.0.0.1:9999", {}, "")
