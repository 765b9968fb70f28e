"""`python -m ops.resolution`, which is `ops/resolve`."""

import argparse
import getpass
import json
import os
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from ops import ExitStatus, OpsError
from ops.arguments import add_json_option, http_address, make_parser
from ops.console import Console, RunVerdict
from ops.foreground import run_command

COMMAND = "ops/resolve"
ANSWER_S_MAX = 30.0
EXAMPLE_ID = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"


def present_user() -> str:
    """Name the user who runs this; by number where the system has no name for it, as in a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def parse_resolution(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(
        COMMAND,
        "Record what became of a payment that does not settle by itself, after you looked into the processors' own "
        "books. A payment that was not charged is charged again.",
        kept="the decision is applied",
        broken="it is refused: the payment is settled, may still settle by itself, or does not exist",
        takes="usually less than 8 s, at most 30 s",
        examples={
            f"{COMMAND} {EXAMPLE_ID} --not-charged": "no processor charged it",
            f"{COMMAND} {EXAMPLE_ID} --charged-by default --at 2025-07-15T12:34:56.789Z": "default charged it",
            "curl 'localhost:9999/payments?state=unknown'": "lists the payments that may need it",
        },
    )
    parser.add_argument("id", type=UUID, help="the payment's correlationId")
    finding = parser.add_mutually_exclusive_group(required=True)
    finding.add_argument("--charged-by", metavar="PROCESSOR", help="the processor that charged it; needs --at")
    finding.add_argument("--not-charged", action="store_true", help="no processor charged it")
    parser.add_argument("--at", metavar="INSTANT", help="its requestedAt, as in 2025-07-15T12:34:56.789Z")
    parser.add_argument("--by", default=present_user(), help="who decided; default: the user")
    parser.add_argument(
        "--url", type=http_address, default="http://localhost:9999", help="a replica; default: %(default)s"
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("ADMIN_TOKEN", ""),
        help="the gateway's ADMIN_TOKEN, needed from another machine; default: the environment variable of that name, "
        "which other users of this machine cannot see, unlike the command line",
    )
    add_json_option(parser)
    given = parser.parse_args(arguments)
    if (given.charged_by is None) != (given.at is None):
        parser.error("--charged-by and --at go together")
    return given


def main(arguments: Sequence[str] | None = None) -> int:
    """Send one finding; return 0 where it is applied, 1 where it is refused."""
    given = parse_resolution(sys.argv[1:] if arguments is None else arguments)
    return run_command(COMMAND, lambda: _resolve(given))


def _resolve(given: argparse.Namespace) -> ExitStatus:
    body = {"chargedBy": given.charged_by, "by": given.by}
    if given.at is not None:
        body["requestedAt"] = given.at
    status, answer = _post(given.url, f"/payments/{given.id}/resolution", body, given.token)
    document = {"id": str(given.id), "status": status, **answer}
    return Console(as_json=given.json).conclude(_judge(given, status, answer), (), document)


def _judge(given: argparse.Namespace, status: int, answer: Mapping[str, Any]) -> RunVerdict:
    if status != HTTPStatus.OK:
        reason = f"{answer.get('title', status)}: {answer.get('detail', 'no reason is told')}"
        return RunVerdict(f"Refused: {given.id}: {reason}", kept=False)
    became = f"charged by {given.charged_by} at {given.at}" if given.charged_by else "not charged, and is charged again"
    return RunVerdict(f"Applied: {given.id} was {became} ({answer.get('resolution')}).", kept=True)


def _post(url: str, path: str, body: Mapping[str, object], token: str) -> tuple[int, Mapping[str, Any]]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_S_MAX)
    try:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise OpsError(f"{url}: {error}") from error
    finally:
        connection.close()
    return response.status, answer if isinstance(answer, dict) else {}


if __name__ == "__main__":
    sys.exit(main())
