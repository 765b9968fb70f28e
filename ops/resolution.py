"""`python -m ops.resolution`, which is `ops/resolve`."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit
from uuid import UUID

from ops.foreground import print_line

ANSWER_S_MAX = 30.0


def parse_resolution(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="ops/resolve",
        description="Tell the gateway what became of a payment that does not settle by itself, after a look into the "
        "processors' own books. A payment that was not charged is charged anew. Exit status 1 where it is refused: "
        "while the payment may still settle by itself, and where it is settled or not known.",
    )
    parser.add_argument("id", type=UUID, help="the payment's correlationId")
    finding = parser.add_mutually_exclusive_group(required=True)
    finding.add_argument("--charged-by", metavar="PROCESSOR", help="the processor that charged it; needs --at")
    finding.add_argument("--not-charged", action="store_true", help="no processor charged it")
    parser.add_argument("--at", metavar="INSTANT", help="its requestedAt, as in 2025-07-15T12:34:56.789Z")
    parser.add_argument("--by", default=getpass.getuser(), help="who says so; default: the user")
    parser.add_argument("--url", default="http://localhost:9999", help="a replica; default: http://localhost:9999")
    parser.add_argument(
        "--token",
        default=os.environ.get("ADMIN_TOKEN", ""),
        help="the gateway's ADMIN_TOKEN, which it wants where this is another machine; default: the variable of that "
        "name, which other users of this machine cannot read off the command line",
    )
    given = parser.parse_args(arguments)
    if (given.charged_by is None) != (given.at is None):
        parser.error("--charged-by and --at go together")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Send one finding; return 0 where it is applied, 1 where it is not."""
    given = parse_resolution(sys.argv[1:] if arguments is None else arguments)
    body = {"chargedBy": given.charged_by, "by": given.by}
    if given.at is not None:
        body["requestedAt"] = given.at
    parts = urlsplit(given.url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S_MAX)
    try:
        headers = {"Content-Type": "application/json"}
        if given.token:
            headers["Authorization"] = f"Bearer {given.token}"
        connection.request("POST", f"/payments/{given.id}/resolution", json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        print_line(f"ops/resolve: {given.url}: {error}")
        return 1
    finally:
        connection.close()
    if response.status == HTTPStatus.OK:
        print_line(f"{given.id}: {answer['resolution']}")
        return 0
    print_line(f"ops/resolve: {answer.get('title')}: {answer.get('detail')}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
