"""Posts the events of ended payments to a URL, in order and at least once: a consumer of the gateway's feed.

    WEBHOOK_SECRET=… python ops/examples/webhooks.py http://localhost:9999 https://shop.example/payments cursor.txt

The receiver answers 2xx once it has kept an event. After any other answer the event is posted again, after a growing
pause. Events with an equal `cursor` are the same. The signature is the HMAC-SHA256 of "TIMESTAMP.BODY" by the secret.
"""

import hashlib
import hmac
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests

WAIT_S, PAUSE_S_MAX = 25, 60.0


def signed(secret: bytes, body: bytes) -> dict[str, str]:
    """Make the headers by which a receiver verifies the sender of a body, and when it was sent."""
    timestamp = str(int(time.time()))
    signature = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "Fiel-Signature": f"t={timestamp},v1={signature}"}


def keep(cursor_file: Path, cursor: str) -> None:
    """Replace the cursor in one step, so that the file is whole however this program ends."""
    beside = cursor_file.with_name(f"{cursor_file.name}.new")
    with beside.open("w") as file:
        file.write(cursor)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(cursor_file)


def until_2xx(method: str, url: str, pause_s: float = 0.5, **options: Any) -> requests.Response:  # noqa: ANN401  # as in requests
    """Send a request until it succeeds."""
    while True:
        try:
            answer = requests.request(method, url, timeout=WAIT_S + 10, allow_redirects=False, **options)
            if answer.status_code // 100 == 2:  # noqa: PLR2004  # a success
                return answer
            if method == "GET" and answer.status_code in {400, 410}:  # the cursor is none, or of a feed that is lost
                sys.exit(f"{url}: {answer.text}")
            print(f"{url}: {answer.status_code} {answer.text[:200]}", file=sys.stderr)  # noqa: T201  # a program of its own
        except requests.RequestException as error:
            print(f"{url}: {error}", file=sys.stderr)  # noqa: T201  # the same
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)


def deliver(gateway: str, receiver: str, cursor_file: Path, secret: bytes) -> None:
    """Post events for ever."""
    after = cursor_file.read_text().strip() if cursor_file.exists() else ""
    while True:
        page = until_2xx("GET", f"{gateway}/payments/events", params={"after": after, "wait": WAIT_S}).json()
        for event in page["events"]:
            body = json.dumps(event).encode()
            until_2xx("POST", receiver, data=body, headers=signed(secret, body))
            keep(cursor_file, event["cursor"])
        if after != page["next"]:
            after = page["next"]
            keep(cursor_file, after)


if __name__ == "__main__":
    deliver(sys.argv[1], sys.argv[2], Path(sys.argv[3]), os.environ["WEBHOOK_SECRET"].encode())
