"""Asks the gateway and the processors for summaries, and uses the processors' administration."""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus

from ops import OpsError
from ops.benchmarks.connection import LoadAnswer
from ops.benchmarks.stages import Condition
from ops.chaostest.summary_probe import iso
from ops.loadtest.client import LoadClient
from ops.loadtest.score import PaidTotal

NAMES = ("default", "fallback")
NOTHING = PaidTotal(0, Decimal(0), Decimal(0))
_DONE = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)


class ProcessorAdmin:
    """The administration of one processor."""

    def __init__(self, name: str, client: LoadClient, token: str) -> None:
        self.name = name
        self.token = token
        """The token that the processor requires at present, as far as it has answered."""
        self._client = client
        self._unconfirmed: list[str] = []
        """Tokens that it may require instead: it was told them, and did not answer."""

    async def change_token(self, token: str) -> None:
        """Let the processor require another token from now on, whichever of the earlier ones it requires now.

        Raises:
            OpsError: it refuses or does not answer, as do all other changes here.
        """
        body = json.dumps({"token": token}).encode()
        self._unconfirmed.append(token)
        for known in (self.token, *self._unconfirmed):
            answer = await self._client.ask("PUT", "/admin/configurations/token", body, known)
            if answer.status in _DONE:
                self.token, self._unconfirmed = token, []
                return
        self._expect(answer, "token")

    async def set_delay(self, condition: Condition) -> None:
        """Delay charges from now on."""
        await self._put("delay", {"delay": round(condition.delay_s * 1000)})

    async def set_failure(self, condition: Condition) -> None:
        """Let charges fail from now on, or work."""
        await self._put("failure", {"failure": condition.failure_rate == 1})

    async def set_fee(self, fee: Decimal) -> None:
        """Let the processor keep this share of each amount, as the game says.

        Raises:
            OpsError: it keeps another share, and cannot be told, because it is no simulator of this project.
        """
        kept = await self.fee()
        if kept != fee:
            body = json.dumps({"fee": float(fee)}).encode()
            answer = await self._client.ask("PUT", "/admin/configurations/fee", body, self.token)
            if answer.status not in _DONE:
                raise OpsError(f"{self._client.url} keeps {kept}, and this game wants {fee}: start it with that fee")

    async def fee(self) -> Decimal:
        """Ask which share of each amount the processor keeps.

        Raises:
            OpsError: there is no answer, or the processor asks for another token.
        """
        answer = await self._client.ask("GET", "/admin/payments-summary", token=self.token)
        self._expect(answer, "summary")
        return Decimal(json.loads(answer.body, parse_float=Decimal)["feePerTransaction"])

    async def purge(self) -> None:
        """Delete what the processor has booked."""
        self._expect(await self._client.ask("POST", "/admin/purge-payments", token=self.token), "purge-payments")

    async def total(self, window: str = "") -> PaidTotal | None:
        """Return the total of a window, which `query_of` has written; None where the processor does not tell."""
        answer = await self._client.ask("GET", f"/admin/payments-summary{window}", token=self.token)
        if answer.status != HTTPStatus.OK:
            return None
        found = json.loads(answer.body, parse_float=Decimal)
        return PaidTotal(found["totalRequests"], Decimal(found["totalAmount"]), Decimal(found["feePerTransaction"]))

    async def _put(self, name: str, value: Mapping[str, object]) -> None:
        body = json.dumps(value).encode()
        self._expect(await self._client.ask("PUT", f"/admin/configurations/{name}", body, self.token), name)

    def _expect(self, answer: LoadAnswer, what: str) -> None:
        if answer.status not in _DONE:
            reason = f"status {answer.status}" if answer.status else "no answer"
            raise OpsError(f"{self._client.url}, {what}: {reason}; --{self.name} and --token say whom to ask how")


async def ask_gateway(client: LoadClient, window: str) -> tuple[int, dict[str, PaidTotal]]:
    """Ask the gateway for its summary; return the status, and the totals, which are empty if that is not 200."""
    answer = await client.ask("GET", f"/payments-summary{window}")
    if answer.status != HTTPStatus.OK:
        return answer.status, dict.fromkeys(NAMES, NOTHING)
    found = json.loads(answer.body, parse_float=Decimal)
    return answer.status, {
        name: PaidTotal(found[name]["totalRequests"], Decimal(found[name]["totalAmount"]), Decimal(0)) for name in NAMES
    }


async def ask_processors(admins: Mapping[str, ProcessorAdmin], window: str = "") -> dict[str, PaidTotal | None]:
    """Ask all processors at once; None for each that does not tell."""
    totals = await asyncio.gather(*(admin.total(window) for admin in admins.values()))
    return dict(zip(admins, totals, strict=True))


def query_of(from_ms: int, to_ms: int) -> str:
    """Write a window, whose bounds are milliseconds since the epoch, as the query of a summary."""
    return f"?from={iso(from_ms)}&to={iso(to_ms)}"
