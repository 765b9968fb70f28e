import tracemalloc

import falcon.testing
import msgpack
import pytest

ALL_WELL = {"status": "ok", "deadActors": []}


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/*",
        "text/html",
        "broken",
        "application/json, application/msgpack",
        "application/msgpack" + ", text/html" * 100,
    ],
)
def test_an_answer_is_json_unless_messagepack_is_preferred(client: falcon.testing.TestClient, accept: str) -> None:
    answer = client.simulate_get("/livez", headers={"Accept": accept})
    assert (answer.headers["content-type"], answer.json) == ("application/json", ALL_WELL)
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize(
    "accept",
    [
        "application/msgpack",
        "application/x-msgpack",
        "application/vnd.msgpack",
        "application/msgpack, */*;q=0.1",
        "application/json;q=0.9, application/msgpack",
    ],
)
def test_an_answer_is_messagepack_where_that_is_preferred(client: falcon.testing.TestClient, accept: str) -> None:
    answer = client.simulate_get("/livez", headers={"Accept": accept})
    assert (answer.headers["content-type"], msgpack.unpackb(answer.content)) == ("application/msgpack", ALL_WELL)
    assert answer.headers["vary"] == "Accept"


def test_what_clients_say_that_they_accept_takes_no_memory(client: falcon.testing.TestClient) -> None:
    client.simulate_get("/livez")
    tracemalloc.start()
    try:
        for number in range(100):
            client.simulate_get("/livez", headers={"Accept": f"a/{number}" + ",a/b" * 4000})
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
