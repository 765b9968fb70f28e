"""A web server whose answers a test chooses."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Reply = tuple[int, dict[str, str], bytes] | None
"""Status, headers and body; None closes the connection without an answer."""
Serve = Callable[[Callable[[str, str, bytes], Reply]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server and returns its URL; `make_reply(method, path, body)` answers."""
    servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(make_reply: Callable[[str, str, bytes], Reply]) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reply = make_reply(self.command, self.path, body)
                if reply is None:
                    self.close_connection = True
                    return
                status, headers, answer = reply
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = handle_any  # noqa: N815  # the names that http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
