"""Refuses bodies in which a map names one key twice: readers disagree on which value counts."""

import json
import re
from collections.abc import Sequence
from itertools import accumulate

import msgpack

from gateway.problems import InvalidFieldError

KEY_CHARS_MAX = 40
"""How many characters of a repeated key the answer shows."""
NESTING_MAX = 500
"""How deep JSON may be nested: each version of CPython has another limit. MessagePack's library has about this one."""

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[{\]}]")


def refuse_repeated_keys(body: bytes, *, is_msgpack: bool) -> None:
    """Read all of a body, maps within maps included, for text keys that stand twice in one map.

    Raises:
        InvalidFieldError: naming the key that is repeated, or `body` where not all of it can be read: text is no UTF-8,
            or it is nested too deeply.
    """
    try:
        if is_msgpack:
            # Lists may be keys, which is why they become tuples.
            msgpack.unpackb(body, object_pairs_hook=_refuse_repetition, strict_map_key=False, use_list=False)
        elif is_nested_too_deeply(body):
            raise InvalidFieldError("body", "is nested too deeply")
        else:
            _json_decoder.decode(body.decode())
    except (RecursionError, msgpack.StackError) as error:
        raise InvalidFieldError("body", "is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise InvalidFieldError("body", "must hold no text but UTF-8") from error
    except ValueError as error:
        raise InvalidFieldError("body", "is malformed") from error


def is_nested_too_deeply(body: bytes) -> bool:
    """Tell whether JSON is nested deeper than `NESTING_MAX`, also where it has no end."""
    if body.count(b"[") + body.count(b"{") <= NESTING_MAX:
        return False
    brackets = _BRACKET.findall(_TEXT.sub(b"", body))
    return max(accumulate(1 if each in b"[{" else -1 for each in brackets), default=0) > NESTING_MAX


def _refuse_repetition(pairs: Sequence[tuple[object, object]]) -> None:
    seen = set[str]()
    for key, _ in pairs:
        if isinstance(key, str):
            if key in seen:
                # A key may hold what no answer can, such as half of a surrogate pair.
                raise InvalidFieldError(ascii(key)[1:-1][:KEY_CHARS_MAX], "must be given once")
            seen.add(key)


# Numbers stay text: nobody reads them, and Python refuses to convert very long ones.
_json_decoder = json.JSONDecoder(object_pairs_hook=_refuse_repetition, parse_int=str, parse_float=str)
