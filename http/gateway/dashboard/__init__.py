"""`GET /`: a page that shows what the gateway does, in its own HTML, CSS and JavaScript alone."""

from pathlib import Path

import falcon

PAGE = Path(__file__).with_name("index.html")
POLICY = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'"


class DashboardResource:
    """Serves the page."""

    def __init__(self) -> None:
        self._page = PAGE.read_bytes()

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the page; it asks for all that it shows by itself."""
        resp.content_type = falcon.MEDIA_HTML
        resp.cache_control = ["no-cache"]
        resp.set_header("Content-Security-Policy", POLICY)
        resp.data = self._page
