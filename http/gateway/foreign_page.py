"""Tells requests that a browser sends for a page of another site from all others."""

import falcon

_FROM_OTHER_PAGES = ("cross-site", "same-site")
"""What a browser says in `Sec-Fetch-Site` of a request that another page makes, with or without an `Origin`."""


def is_of_another_page(req: falcon.Request) -> bool:
    """Tell whether a page made the request that is not the gateway's own: its `Origin` differs from `Host`."""
    origin = req.get_header("Origin")
    if origin is None:
        return req.get_header("Sec-Fetch-Site") in _FROM_OTHER_PAGES
    authority = origin.partition("://")[2]
    # `null`, the origin of a page in a sandbox, has no authority.
    return not authority or authority.lower() != (req.get_header("Host") or "").lower()
