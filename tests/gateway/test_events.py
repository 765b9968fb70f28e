"""`GET /payments/events`."""

import json
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import falcon.testing
import msgpack
import pytest

from actors.domain.feed import FeedPlace
from actors.domain.payment import Closing, EndState, Settlement
from actors.feed import CONSUMERS_MAX, STEP_S
from gateway.app import create_app
from gateway.event_cursor import write_cursor
from gateway.events import HEARTBEAT_S, LIMIT_MAX
from tests.actors.fakes import LAST_PLACE, payment
from tests.gateway.fake_gateway import NOW_MS, FakeGateway

PATH = "/payments/events"
STREAM = {"Accept": "text/event-stream"}


def settle(gateway: FakeGateway, *numbers: int) -> None:
    for number in numbers:
        gateway.tables.settle(Settlement(payment(number), "default", NOW_MS + number, 1, NOW_MS + number))


def cursor_of(number: int) -> str:
    """Write the cursor of the event with this number, which is that of its payment as well."""
    return write_cursor(0, FeedPlace(number, UUID(int=number)))


def test_each_kind_of_end_is_told_in_its_order(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    settle(gateway, 1)
    gateway.tables.close(Closing(payment(2, currency="JPY"), EndState.DECLINED, "fallback", 2, NOW_MS), "1")
    gateway.tables.purge_number, gateway.tables.purged_at_ms = gateway.tables.next_number(), NOW_MS
    answer = client.simulate_get(PATH)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json == {
        "events": [
            {
                "type": "settled",
                "at": "2025-07-15T12:34:56.790Z",
                "cursor": cursor_of(1),
                "correlationId": str(UUID(int=1)),
                "amount": 19.9,
                "currency": "BRL",
                "processor": "default",
                "requestedAt": "2025-07-15T12:34:56.790Z",
            },
            {
                "type": "declined",
                "at": "2025-07-15T12:34:56.789Z",
                "cursor": cursor_of(2),
                "correlationId": str(UUID(int=2)),
                "amount": 1990,
                "currency": "JPY",
                "processor": "fallback",
                "requestedAt": None,
            },
            {"type": "purged", "at": "2025-07-15T12:34:56.789Z", "cursor": write_cursor(0, FeedPlace(3, UUID(int=0)))},
        ],
        "next": answer.json["next"],
        "behindMs": 0,
    }
    packed = client.simulate_get(PATH, headers={"Accept": "application/msgpack"})
    assert msgpack.unpackb(packed.content) == answer.json


def test_pages_lead_to_each_other_from_any_event_on(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    settle(gateway, 1, 2, 3, 4)
    first = client.simulate_get(PATH, params={"limit": "3"}).json
    assert ([each["cursor"] for each in first["events"]], first["next"]) == (
        [cursor_of(1), cursor_of(2), cursor_of(3)],
        cursor_of(3),
    )
    for after, numbers in ((first["next"], [4]), (cursor_of(2), [3, 4]), (cursor_of(4), [])):
        events = client.simulate_get(PATH, params={"after": after, "wait": "0"}).json["events"]
        assert [each["cursor"] for each in events] == [cursor_of(number) for number in numbers]


@pytest.mark.parametrize("now", ["now", "latest"])
def test_from_now_on_only_what_ends_later_is_told(
    client: falcon.testing.TestClient, gateway: FakeGateway, now: str
) -> None:
    settle(gateway, 1)
    empty = client.simulate_get(PATH, params={"after": now, "wait": "0"}).json
    assert empty["events"] == []
    gateway.runtime.call_later(3.0, settle, gateway, 2)
    for after in (now, empty["next"]):
        events = client.simulate_get(PATH, params={"after": after}).json["events"]
        assert [each["cursor"] for each in events] == [cursor_of(2)]


def test_an_answer_without_an_event_comes_after_as_long_as_the_client_waits(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    for wait, waited_s in (("0", 0), ("7", 7), ("", 25)):
        began_s = gateway.runtime.now_s()
        answer = client.simulate_get(PATH, query_string=f"wait={wait}")
        assert answer.json["events"] == []
        assert gateway.runtime.now_s() - began_s == pytest.approx(waited_s)
    assert gateway.feed.consumers == 0


def test_a_head_is_answered_at_once(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    began_s = gateway.runtime.now_s()
    for headers in ({}, STREAM):
        answer = client.simulate_head(PATH, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == headers.get("Accept", "application/json")
        assert ("content-length" in answer.headers) == (not headers)
        assert answer.headers["vary"] == "Accept"
    assert (gateway.runtime.now_s(), gateway.feed.consumers) == (began_s, 0)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": str(LIMIT_MAX + 1)}, "limit"),
        ({"wait": "26"}, "wait"),
        ({"wait": "-1"}, "wait"),
        ({"wait": "1.5"}, "wait"),
        ({"after": "soon"}, "after"),
        ({"after": cursor_of(1)[:-1]}, "after"),
        ({"after": ["now", "now"]}, "after"),
        ({"after": write_cursor(7, FeedPlace(1, UUID(int=1)))}, "after"),
    ],
)
@pytest.mark.parametrize("headers", [{}, STREAM])
def test_what_cannot_be_meant_is_refused(
    client: falcon.testing.TestClient, gateway: FakeGateway, params: dict[str, str], field: str, headers: dict[str, str]
) -> None:
    refused = client.simulate_get(PATH, params=params, params_csv=False, headers=headers)
    assert (refused.status_code, refused.json["field"], gateway.feed.consumers) == (400, field, 0)


def test_a_cursor_that_postgres_never_gave_is_gone(client: falcon.testing.TestClient) -> None:
    gone = client.simulate_get(PATH, params={"after": write_cursor(0, LAST_PLACE)})
    assert (gone.status_code, gone.json["field"]) == (410, "after")


@pytest.mark.parametrize("headers", [{}, STREAM])
def test_one_consumer_too_many_is_told_to_try_again(
    client: falcon.testing.TestClient, gateway: FakeGateway, headers: dict[str, str]
) -> None:
    with ExitStack() as places:
        for _ in range(CONSUMERS_MAX):
            places.enter_context(gateway.feed.consuming())
        refused = client.simulate_get(PATH, headers=headers)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize("headers", [{}, STREAM])
def test_without_postgres_a_client_is_told_to_try_again(
    client: falcon.testing.TestClient, gateway: FakeGateway, headers: dict[str, str]
) -> None:
    gateway.ends.failures = 1
    refused = client.simulate_get(PATH, params={"wait": "0"}, headers=headers)
    assert (refused.status_code, refused.headers["retry-after"], gateway.feed.consumers) == (503, "1", 0)


@pytest.mark.parametrize("after", ["", "now", cursor_of(1)])
def test_an_outage_of_postgres_is_waited_out_from_any_place_on(
    client: falcon.testing.TestClient, gateway: FakeGateway, after: str
) -> None:
    settle(gateway, 1)
    gateway.ends.failures = 3
    gateway.runtime.call_later(5.0, settle, gateway, 2)
    answer = client.simulate_get(PATH, params={"after": after})
    assert (answer.status_code, bool(answer.json["events"])) == (200, True)


class Departing:
    """A client's connection, which ends at an instant."""

    def __init__(self, gateway: FakeGateway, after_s: float) -> None:
        self._gateway = gateway
        self._until_s = gateway.runtime.now_s() + after_s

    def has_left(self) -> bool:
        return self._gateway.runtime.now_s() >= self._until_s


@pytest.mark.parametrize("headers", [{}, STREAM])
@pytest.mark.parametrize("failures", [0, 1000])
def test_who_leaves_gives_its_place_back_soon(
    client: falcon.testing.TestClient, gateway: FakeGateway, headers: dict[str, str], failures: int
) -> None:
    def fail() -> None:
        gateway.ends.failures = failures

    gateway.runtime.call_later(1.0, fail)
    began_s = gateway.runtime.now_s()
    client.simulate_get(PATH, headers=headers, extras={"gunicorn.socket": Departing(gateway, 3.0)})
    assert gateway.runtime.now_s() - began_s <= 3.0 + STEP_S
    assert gateway.feed.consumers == 0


def streamed(answer: falcon.testing.Result) -> list[tuple[str, dict[str, object]]]:
    """Read the events of a stream: the cursor and the data of each."""
    blocks = [dict(line.split(": ", 1) for line in each.splitlines()) for each in answer.text.split("\n\n") if each]
    return [(each["id"], json.loads(each["data"])) for each in blocks if "data" in each]


def test_a_stream_tells_what_has_ended_and_what_ends_then(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    settle(gateway, 1, 2)
    told = client.simulate_get(PATH).json["events"]
    gateway.runtime.call_later(5.0, settle, gateway, 3)
    gateway.runtime.call_later(25.0 + HEARTBEAT_S, gateway.feed.end)
    answer = client.simulate_get(PATH, headers=STREAM)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.text.startswith(f"retry: 1000\n\nid: {cursor_of(1)}\nevent: settled\ndata: {{")
    found = streamed(answer)
    assert [cursor for cursor, _ in found] == [cursor_of(1), cursor_of(2), cursor_of(3)]
    assert [data for _, data in found[:2]] == told
    assert answer.text.count("\n: behind by 0 ms\n") >= 2
    assert gateway.feed.consumers == 0


def test_a_stream_goes_on_behind_the_last_event_that_its_client_has_seen(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    settle(gateway, 1, 2, 3)
    gateway.runtime.call_later(1.0, gateway.feed.end)
    headers = STREAM | {"Last-Event-ID": cursor_of(2)}
    answer = client.simulate_get(PATH, params={"after": cursor_of(1)}, headers=headers)
    assert [cursor for cursor, _ in streamed(answer)] == [cursor_of(3)]


def test_a_stream_without_an_event_tells_where_it_begins(
    client: falcon.testing.TestClient, gateway: FakeGateway
) -> None:
    settle(gateway, 1)
    begin = client.simulate_get(PATH, params={"after": "now", "wait": "0"}).json["next"]
    gateway.runtime.call_later(1.0, gateway.feed.end)
    answer = client.simulate_get(PATH, params={"after": "now"}, headers=STREAM)
    assert answer.text.startswith(f"retry: 1000\n\nid: {begin}\n\n")


def test_a_stream_outlasts_an_outage_of_postgres(client: falcon.testing.TestClient, gateway: FakeGateway) -> None:
    def fail() -> None:
        gateway.ends.failures = 200

    gateway.runtime.call_later(1.0, fail)
    gateway.runtime.call_later(60.0, settle, gateway, 1)
    gateway.runtime.call_later(90.0, gateway.feed.end)
    answer = client.simulate_get(PATH, headers=STREAM)
    assert [cursor for cursor, _ in streamed(answer)] == [cursor_of(1)]


def test_a_stream_that_nobody_reads_gives_its_place_back(gateway: FakeGateway) -> None:
    settle(gateway, 1)
    app = create_app(gateway, gateway, gateway, gateway, allow_purge=False, allow_force=False)
    body: Any = app(falcon.testing.create_environ(PATH, headers=STREAM), falcon.testing.StartResponseMock())
    assert gateway.feed.consumers == 1
    for _ in range(2):
        body.close()
    assert gateway.feed.consumers == 0
