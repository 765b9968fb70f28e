"""The statements of `queries.sql` by their names."""

import re
from pathlib import Path

SCHEMA_VERSION = 13
"""The number of the last migration, which the statements rely on."""


def parse_queries(text: bytes) -> dict[str, bytes]:
    """Split a file of statements at the lines `-- name: <name>`; what stands before the first name is left out."""
    parts = re.split(rb"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return {name.decode(): statement for name, statement in zip(parts[1::2], parts[2::2], strict=True)}


def number_parameters(statement: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Put `$1` and so on in the place of `%(name)s`, as the server reads them; give their names in this order too."""
    names: dict[bytes, bytes] = {}
    numbered = re.sub(rb"%\((\w+)\)s", lambda found: names.setdefault(found[1], b"$%d" % (len(names) + 1)), statement)
    return numbered, tuple(name.decode() for name in names)


QUERIES = parse_queries(Path(__file__).with_name("queries.sql").read_bytes())
