import falcon
import falcon.testing
import pytest

from gateway.own_machine import is_local


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("::1", True), ("192.0.2.7", False), ("", False), ("a socket", False)],
)
def test_a_client_that_names_no_host_is_of_this_machine_if_its_address_is(address: str, *, expected: bool) -> None:
    environ = falcon.testing.create_environ()
    environ["REMOTE_ADDR"] = address
    del environ["HTTP_HOST"]
    assert is_local(falcon.Request(environ)) == expected
