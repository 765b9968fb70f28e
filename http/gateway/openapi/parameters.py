"""Parameters and header fields that several operations have."""

from actors.domain.records import PaymentState
from gateway import events
from gateway.answers import ID_EXAMPLE, INSTANT_EXAMPLE
from gateway.dashboard import FOLDER, TYPES
from gateway.openapi.model import Parameter, Schema
from gateway.payment_list import LIMIT_DEFAULT, LIMIT_MAX
from gateway.problem_types import ProblemType
from gateway.problems import RETRY_AFTER_S
from gateway.reference import FILES
from gateway.status import AFTER_DIGITS_MAX
from gateway.summary import AS_OF_HEADER, FINAL_HEADER

REQUEST_ID = Parameter(
    name="X-Request-ID",
    place="header",
    description="A name for this request, which is sent back, and is in log lines and problems that concern it: "
    "1 to 128 visible characters of ASCII. Other values are ignored.",
    schema={"type": "string"},
)
CORRELATION_ID = Parameter(
    name="correlationId",
    place="path",
    description="The payment's id.",
    schema={"type": "string", "format": "uuid"},
    example=ID_EXAMPLE,
    required=True,
)
PROCESSOR = Parameter(
    name="name",
    place="path",
    description="The processor's name.",
    schema={"type": "string", "minLength": 1},
    example="default",
    required=True,
)
DASHBOARD_FILE, REFERENCE_FILE, PROBLEM = (
    Parameter(
        name="name",
        place="path",
        description=description,
        schema={"type": "string", "enum": sorted(names)},
        example=example,
        required=True,
    )
    for description, names, example in (
        ("The file's name.", (path.name for path in FOLDER.iterdir() if path.suffix in TYPES), "style.css"),
        ("The file's name.", FILES, "page.js"),
        ("The last part of a problem's `type`.", (kind.value.name for kind in ProblemType), "another-amount"),
    )
)
EMPTY: Schema = {"type": "string", "maxLength": 0}
"""An empty value, which forms send where nothing was filled in, counts as missing."""
FROM, TO = (
    Parameter(
        name=name,
        place="query",
        description=f"{side} instant of the window, in UTC, itself included; missing or empty: no bound.",
        schema={"anyOf": [{"type": "string", "format": "date-time"}, EMPTY]},
        example=example,
    )
    for name, side, example in (("from", "First", "2025-07-15T12:00:00Z"), ("to", "Last", INSTANT_EXAMPLE))
)
STATE = Parameter(
    name="state",
    place="query",
    description="Which payments are listed.",
    schema={"type": "string", "enum": [state.value for state in PaymentState]},
    example=PaymentState.UNKNOWN.value,
    required=True,
)
LIMIT = Parameter(
    name="limit",
    place="query",
    description="How many payments a page has at most.",
    schema={"anyOf": [{"type": "integer", "minimum": 1, "maximum": LIMIT_MAX}, EMPTY], "default": LIMIT_DEFAULT},
)
CURSOR = Parameter(
    name="cursor",
    place="query",
    description="`next` of the page before; missing: the first page.",
    schema={
        "anyOf": [
            {"type": "string", "pattern": r"^(0|-?[1-9][0-9]{0,17})\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
            EMPTY,
        ]
    },
)
AFTER = Parameter(
    name="after",
    place="query",
    description="Leaves out the seconds up to this one, since the epoch.",
    schema={"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10**AFTER_DIGITS_MAX - 1}, EMPTY]},
    example=1764144000,
)

_PLACE = r"[A-Za-z0-9_-]{44}"
EVENTS_AFTER = Parameter(
    name="after",
    place="query",
    description="`next` of an earlier answer or `cursor` of an event; `now`, or `latest`: starts now; "
    "missing: the beginning of what is kept.",
    schema={"anyOf": [{"type": "string", "pattern": f"^(now|latest|{_PLACE})$"}, EMPTY]},
)
EVENTS_LIMIT, EVENTS_WAIT = (
    Parameter(
        name=name,
        place="query",
        description=description,
        schema={"anyOf": [{"type": "integer", "minimum": lowest, "maximum": highest}, EMPTY], "default": default},
    )
    for name, description, lowest, highest, default in (
        (
            "limit",
            "How many events an answer has at most; a stream reads at most 100 at once.",
            1,
            events.LIMIT_MAX,
            events.LIMIT_DEFAULT,
        ),
        ("wait", "For how many seconds to wait for an event.", 0, events.WAIT_S_MAX, events.WAIT_S_MAX),
    )
)
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    place="header",
    description="The `id` of the last event of a stream that a client has seen; for streams only, before `after`.",
    schema={"type": "string"},
)

HEADERS: dict[str, tuple[str, Schema]] = {
    "Durability": (
        "What it survives: the loss of the host (`ledger`) or of power (`fsync`); missing with other settings.",
        {"type": "string", "enum": ["ledger", "fsync"]},
    ),
    "Location": ("Where to get the state of the payment.", {"type": "string", "format": "uri-reference"}),
    "Vary": ("`Accept`: the same is answered in several forms.", {"type": "string"}),
    "Retry-After": (
        "Seconds after which to send the request again.",
        {"type": "integer", "minimum": 0, "examples": [RETRY_AFTER_S]},
    ),
    "WWW-Authenticate": ("The scheme, `Bearer`; with `error` where the token is wrong.", {"type": "string"}),
    "Allow": ("The methods that the path takes.", {"type": "string", "examples": ["GET, HEAD, OPTIONS"]}),
    "X-Request-ID": ("The request's own `X-Request-ID`; missing if it had none.", {"type": "string"}),
    "ETag": ("The version of this content, for `If-None-Match`.", {"type": "string"}),
    FINAL_HEADER: (
        "`true` where the totals of this window never change any more.",
        {"type": "string", "enum": ["true", "false"]},
    ),
    AS_OF_HEADER: (
        "The instant to which the totals apply; missing if the window reaches up to the present, or if uncertain.",
        {"type": "string", "format": "date-time"},
    ),
}
"""Header fields of answers: description and schema."""
