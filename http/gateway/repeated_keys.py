"""Refuses bodies in which a map names one key twice: readers disagree on which value counts."""

import json
from collections.abc import Sequence

import msgpack

from gateway.problems import InvalidFieldError

KEY_CHARS_MAX = 40
"""How many characters of a repeated key the answer shows."""


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
        else:
            _json_decoder.decode(body.decode())
    except (RecursionError, msgpack.StackError) as error:
        raise InvalidFieldError("body", "is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise InvalidFieldError("body", "must hold no text but UTF-8") from error
    except ValueError as error:
        raise InvalidFieldError("body", "is malformed") from error


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
