"""Tells requests of this machine from those of others."""

from ipaddress import ip_address

import falcon


def is_local(req: falcon.Request) -> bool:
    """Tell whether a request comes from this machine, and not through a proxy on it, as far as that says so."""
    if req.forwarded or req.get_header("X-Forwarded-For"):
        return False
    try:
        return ip_address(req.remote_addr).is_loopback
    except ValueError:
        return False
