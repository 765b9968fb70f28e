"""The files of the page at `/docs`."""

import gzip

import falcon.testing
import pytest

from gateway.reference import FILES, FOLDER

SERVED = ["/docs", *(f"/docs/{name}" for name in FILES)]


def test_all_files_of_the_folder_are_served() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.suffix != ".py" and path.is_file()} == {
        file.path.name for file in FILES.values()
    }


@pytest.mark.parametrize("path", SERVED)
def test_a_browser_that_has_a_file_is_not_sent_it_again(client: falcon.testing.TestClient, path: str) -> None:
    first = client.simulate_get(path)
    assert (first.status_code, len(first.content)) == (200, int(first.headers["content-length"]))
    again = client.simulate_get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("accepted", ["gzip, br", "identity", ""])
def test_the_script_is_sent_compressed_to_everybody(client: falcon.testing.TestClient, accepted: str) -> None:
    packed = client.simulate_get("/docs/scalar.js", headers={"Accept-Encoding": accepted})
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.content) < len(gzip.decompress(packed.content)) / 3


@pytest.mark.parametrize("path", SERVED)
def test_the_page_may_ask_this_gateway_alone(client: falcon.testing.TestClient, path: str) -> None:
    policy = client.simulate_get(path).headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} <= {*policy}
    assert [part for part in policy if "unsafe" in part] == ["style-src 'self' 'unsafe-inline'"]


@pytest.mark.parametrize("name", ["__init__.py", "scalar.js.gz", "..%2Fapp.py", "nothing"])
def test_no_other_file_is_served(client: falcon.testing.TestClient, name: str) -> None:
    assert client.simulate_get(f"/docs/{name}").json["type"] == "/problems/not-found"
