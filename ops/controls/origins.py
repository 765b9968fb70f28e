"""Lets only the live page of this gateway use the controls, which other pages in a browser could reach as well."""

from collections.abc import Collection

import falcon

FROM_OTHER_PAGES = ("cross-site", "same-site")
"""What a browser says in `Sec-Fetch-Site` of a request that another page makes, with or without an `Origin`."""


class OwnPages:
    """Refuses requests of other pages, or under another name of this machine (DNS rebinding)."""

    def __init__(self, origins: Collection[str], hosts: Collection[str]) -> None:
        """`origins` are the live page's, `hosts` the names and ports under which the controls are known."""
        self._origins = origins
        self._hosts = hosts

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Answer 403 to requests of other pages; the live page and clients without a page, such as curl, may go on."""
        if req.get_header("Host") not in self._hosts:
            raise falcon.HTTPForbidden(title="Unknown host", description=f"this is {' or '.join(sorted(self._hosts))}")
        origin = req.get_header("Origin")
        if origin is None:
            is_foreign = req.get_header("Sec-Fetch-Site") in FROM_OTHER_PAGES
        else:
            is_foreign = origin not in self._origins
        if is_foreign:
            raise falcon.HTTPForbidden(title="Unknown origin", description="this is for the gateway's own page alone")

    def process_response(self, _req: falcon.Request, resp: falcon.Response, *_: object) -> None:
        """Forbid caching, and end the connection, since idle ones would take the room of others."""
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("Connection", "close")
