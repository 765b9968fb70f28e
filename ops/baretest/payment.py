"""Posts a payment to the gateway of `ops/up`, and ends once it is settled. It runs in a container, without .venv."""

import json
import time
import uuid
from urllib.request import Request, urlopen

URL = "http://localhost:9999/payments"
SETTLED_S_MAX = 30


def main() -> None:
    """Post a payment, and wait until its state is `settled`."""
    correlation_id = str(uuid.uuid4())
    body = json.dumps({"correlationId": correlation_id, "amount": 19.9}).encode()
    posted = Request(URL, body, {"Content-Type": "application/json"})
    with urlopen(posted, timeout=SETTLED_S_MAX) as answer:  # noqa: S310 - the address is ours
        print(answer.status)  # noqa: T201 - for whoever reads why it failed
    deadline_s = time.monotonic() + SETTLED_S_MAX
    state = None
    while state != "settled":
        if time.monotonic() > deadline_s:
            raise SystemExit(f"the payment {correlation_id} is {state} after {SETTLED_S_MAX} s")
        time.sleep(0.05)
        with urlopen(f"{URL}/{correlation_id}", timeout=SETTLED_S_MAX) as answer:  # noqa: S310 - the address is ours
            state = json.load(answer)["state"]


if __name__ == "__main__":
    main()
