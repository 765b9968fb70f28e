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


def whole_number(req: falcon.Request, name: str, default: int, bounds: tuple[int, int]) -> int:
    """Return a parameter that is a whole number within bounds, both inclusive.

    Raises:
        InvalidFieldError: it is none, or given more than once.
    """
    lowest, highest = bounds
    given = query_value(req, name) or str(default)
    # Python refuses to convert very many digits.
    is_number = given.isascii() and given.isdecimal() and len(given) <= len(str(highest))
    if not (is_number and lowest <= int(given) <= highest):
        raise InvalidFieldError(name, f"must be a whole number from {lowest} to {highest}")
    return int(given)
