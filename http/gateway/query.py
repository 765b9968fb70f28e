"""Reads parameters of a request's query."""

import falcon

from gateway.problems import InvalidFieldError


def query_value(req: falcon.Request, name: str) -> str | None:
    """Return a parameter's value; None where it is absent or empty, as forms send what was not filled in.

    Raises:
        InvalidFieldError: it is given more than once.
    """
    values = req.get_param_as_list(name) or [""]
    if len(values) > 1:
        raise InvalidFieldError(name, "must be given once")
    return values[0] or None
