"""Tells requests of this machine from those of others."""

import re
from ipaddress import ip_address

import falcon

_HOST = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::[0-9]*)?")


def is_local(req: falcon.Request) -> bool:
    """Tell whether a request comes from this machine, and not through a proxy on it that names itself.

    Its `Host` has to be `localhost` or an address. Any other name may be of a foreign page whose owner lets the name
    lead here (DNS rebinding), so that a browser on this machine sends that page's requests.
    """
    # One that is empty or malformed is a proxy's as well.
    if "HTTP_FORWARDED" in req.env or "HTTP_X_FORWARDED_FOR" in req.env:
        return False
    return _is_loopback(req.remote_addr) and _names_this_machine(req.get_header("Host"))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _names_this_machine(host: str | None) -> bool:
    if host is None:
        return True  # The client is no browser, since these always send it.
    parts = _HOST.fullmatch(host)
    name = (parts[1] or parts[2] or "") if parts else ""
    try:
        return name.lower() == "localhost" or bool(ip_address(name))
    except ValueError:
        return False
