"""The operations by which the API describes itself: health, metrics, pages and its own description."""

from gateway.answers import LivenessAnswer, ReadinessAnswer
from gateway.media import JSON
from gateway.openapi.model import Content, DescribedAnswer, Operation, Schema, negotiated
from gateway.openapi.parameters import AFTER, DASHBOARD_FILE, PROBLEM, REFERENCE_FILE
from gateway.problem_types import ProblemType
from gateway.status_answer import StatusAnswer

TEXT = {"type": "string"}
HTML = "text/html; charset=utf-8"
PLAIN = "text/plain; charset=utf-8"
UNCHANGED = DescribedAnswer(status=304, description="The client's copy is up to date.", headers=("ETag",))


def _served(description: str, *types: str, schema: Schema = TEXT, headers: tuple[str, ...] = ()) -> DescribedAnswer:
    return DescribedAnswer(
        status=200, description=description, content=Content(types=dict.fromkeys(types, schema)), headers=headers
    )


OPERATIONS = (
    Operation(
        method="get",
        path="/status",
        name="getStatus",
        tag="Operations",
        summary="Get the state of all replicas",
        description="Includes their last five minutes: the data of the live page.",
        parameters=(AFTER,),
        answers=(negotiated("The state of all.", StatusAnswer),),
        problems=(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/livez",
        name="getLiveness",
        tag="Operations",
        summary="Check whether the process does its work",
        answers=(
            negotiated("All actors live.", LivenessAnswer),
            negotiated("Some do not; restart it.", LivenessAnswer, status=503),
        ),
    ),
    Operation(
        method="get",
        path="/readyz",
        name="getReadiness",
        tag="Operations",
        summary="Check whether this replica takes payments",
        answers=(
            negotiated("It does, perhaps degraded.", ReadinessAnswer),
            negotiated("It does not.", ReadinessAnswer, status=503),
        ),
    ),
    Operation(
        method="get",
        path="/metrics",
        name="getMetrics",
        tag="Operations",
        summary="Get the metrics of this replica",
        answers=(_served("In Prometheus' text format.", "text/plain; version=1.0.0; charset=utf-8"),),
    ),
    Operation(
        method="get",
        path="/",
        name="getLivePage",
        tag="Pages",
        summary="Show a live page of all replicas",
        answers=(_served("The page.", HTML, headers=("ETag",)), UNCHANGED),
    ),
    Operation(
        method="get",
        path="/dashboard/{name}",
        name="getLivePageFile",
        tag="Pages",
        summary="A script or style file of the live page",
        parameters=(DASHBOARD_FILE,),
        answers=(
            _served("The file.", "text/css; charset=utf-8", "text/javascript", PLAIN, HTML, headers=("ETag",)),
            UNCHANGED,
        ),
        problems=(ProblemType.NOT_FOUND,),
    ),
    Operation(
        method="get",
        path="/openapi.json",
        name="getDescription",
        tag="Pages",
        summary="This description",
        answers=(
            _served("OpenAPI 3.1.", JSON, schema={"type": "object"}, headers=("ETag",)),
            UNCHANGED,
        ),
    ),
    Operation(
        method="get",
        path="/docs",
        name="getDocs",
        tag="Pages",
        summary="A page to try the API",
        answers=(_served("The page.", HTML, headers=("ETag",)), UNCHANGED),
    ),
    Operation(
        method="get",
        path="/docs/{name}",
        name="getDocsFile",
        tag="Pages",
        summary="A script of that page, or its licence",
        parameters=(REFERENCE_FILE,),
        answers=(
            _served("The file.", "text/javascript", PLAIN, HTML, headers=("ETag", "Vary")),
            UNCHANGED,
        ),
        problems=(ProblemType.NOT_FOUND,),
    ),
    Operation(
        method="get",
        path="/problems",
        name="listProblems",
        tag="Pages",
        summary="List the kinds of errors",
        answers=(_served("A page with links.", HTML),),
    ),
    Operation(
        method="get",
        path="/problems/{name}",
        name="getProblem",
        tag="Pages",
        summary="Explain a kind of error",
        parameters=(PROBLEM,),
        answers=(_served("A page about it.", HTML),),
        problems=(ProblemType.NOT_FOUND,),
    ),
)
