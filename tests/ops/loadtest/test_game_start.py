"""Before a game begins, nothing is changed that would be missed: the gateway has to be there and to be purged first."""

import pytest

from ops import OpsError
from ops.loadtest.player import Player
from tests.ops.loadtest.gateway import Answer, FakeGateway
from tests.ops.loadtest.test_player import SHORT, Played, honest, prepared
from tests.ops.simulator.harness import TOKEN, in_loop


def gateway_whose_purge_says(status: int) -> FakeGateway:
    def answer(method: str, path: str, body: bytes) -> Answer | None:
        return (status, {}) if path == "/purge-payments" else honest(method, path, body)

    return FakeGateway(answer)


def disturb(game: Played) -> None:
    """Give the processors what a game would change."""
    game.default.server.processor.delay_ms = game.fallback.server.processor.delay_ms = 7


async def is_untouched(game: Played) -> bool:
    delays = {each.server.processor.delay_ms for each in (game.default, game.fallback)}
    return delays == {7} and await game.have_their_token()


@in_loop
@pytest.mark.parametrize("status", [401, 403])
async def test_a_gateway_that_may_not_be_purged_ends_it_before_a_processor_is_changed(status: int) -> None:
    async with prepared(SHORT, gateway_whose_purge_says(status)) as game:
        disturb(game)
        with pytest.raises(OpsError, match="start it with ALLOW_PURGE=1"):
            await game.player.play()
        assert await is_untouched(game)
        assert not game.gateway.requests["POST /payments"]


@in_loop
@pytest.mark.parametrize("status", [404, 405])
async def test_a_gateway_that_knows_no_purge_is_played_against(status: int) -> None:
    async with prepared(SHORT, gateway_whose_purge_says(status)) as game:
        await game.player.play()
        assert not game.record.is_purged
        assert game.record.accepted


@in_loop
async def test_a_gateway_that_is_away_ends_it_before_a_processor_is_changed() -> None:
    async with prepared(SHORT, FakeGateway(honest)) as game:
        disturb(game)
        urls = {
            name: f"http://127.0.0.1:{each.server.port}"
            for name, each in (("default", game.default), ("fallback", game.fallback))
        }
        with pytest.raises(OpsError, match="no answer: start the gateway; --url says where it is"):
            await Player(SHORT, "http://127.0.0.1:1", urls, TOKEN).play()
        assert await is_untouched(game)
