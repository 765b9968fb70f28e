"""Tells requests of this machine from those of others."""

import re
from ipaddress import ip_address

import falcon

_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::[0-9]*)?")


def is_local(req: falcon.Request) -> bool:
    """Tell whether a request comes from this machine, and not through a proxy on it, as far as that says so.

    It has to name this machine `localhost` or by an address: any other name might be that of a page whose owner lets it
    lead here (DNS rebinding), and a browser sends that page's requests from this machine.
    """
    if req.forwarded or req.get_header("X-Forwarded-For"):
        return False
    return _is_loopback(req.remote_addr) and _is_no_foreign_name(req.get_header("Host"))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _is_no_foreign_name(host: str | None) -> bool:
    if host is None:
        return True  # No browser leaves it out.
    parts = _HOST.fullmatch(host)
    name = (parts[1] or parts[2] or "") if parts else ""
    try:
        return name.lower() == "localhost" or bool(ip_address(name))
    except ValueError:
        return False
