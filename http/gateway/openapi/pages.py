"""What the API tells of itself: health, metrics, pages and its own description."""

from gateway.answers import LivenessAnswer, ReadinessAnswer
from gateway.media import JSON
from gateway.openapi.model import Content, DescribedAnswer, Operation, both
from gateway.openapi.parameters import AFTER, DASHBOARD_FILE, PROBLEM, REFERENCE_FILE
from gateway.problem_types import ProblemType
from gateway.status_answer import StatusAnswer

TEXT = {"type": "string"}
PAGE = Content(types={"text/html; charset=utf-8": TEXT})
UNCHANGED = DescribedAnswer(status=304, description="What the client has is up to date.", headers=("ETag",))
VARIES = ("Vary",)

OPERATIONS = (
    Operation(
        method="get",
        path="/status",
        name="getStatus",
        tag="Operations",
        summary="Tell how all replicas are",
        description="And what they did in the last five minutes: the data of the live page.",
        parameters=(AFTER,),
        answers=(
            DescribedAnswer(status=200, description="The state of all.", content=both(StatusAnswer), headers=VARIES),
        ),
        problems=(ProblemType.INVALID_REQUEST, ProblemType.UNAVAILABLE),
    ),
    Operation(
        method="get",
        path="/livez",
        name="getLiveness",
        tag="Operations",
        summary="Tell whether the process does its work",
        answers=(
            DescribedAnswer(status=200, description="All actors live.", content=both(LivenessAnswer), headers=VARIES),
            DescribedAnswer(
                status=503, description="Some do not; restart it.", content=both(LivenessAnswer), headers=VARIES
            ),
        ),
    ),
    Operation(
        method="get",
        path="/readyz",
        name="getReadiness",
        tag="Operations",
        summary="Tell whether this replica takes payments",
        answers=(
            DescribedAnswer(
                status=200, description="It does, perhaps degraded.", content=both(ReadinessAnswer), headers=VARIES
            ),
            DescribedAnswer(status=503, description="It does not.", content=both(ReadinessAnswer), headers=VARIES),
        ),
    ),
    Operation(
        method="get",
        path="/metrics",
        name="getMetrics",
        tag="Operations",
        summary="Tell the metrics of this replica",
        answers=(
            DescribedAnswer(
                status=200,
                description="In Prometheus' text format.",
                content=Content(types={"text/plain; version=1.0.0; charset=utf-8": TEXT}),
            ),
        ),
    ),
    Operation(
        method="get",
        path="/",
        name="getLivePage",
        tag="Pages",
        summary="Show a live page of all replicas",
        answers=(DescribedAnswer(status=200, description="The page.", content=PAGE, headers=("ETag",)), UNCHANGED),
    ),
    Operation(
        method="get",
        path="/dashboard/{name}",
        name="getLivePageFile",
        tag="Pages",
        summary="A script or style file of the live page",
        parameters=(DASHBOARD_FILE,),
        answers=(
            DescribedAnswer(
                status=200,
                description="The file.",
                content=Content(
                    types=dict.fromkeys(
                        (
                            *("text/css; charset=utf-8", "text/javascript", "text/plain; charset=utf-8"),
                            "text/html; charset=utf-8",
                        ),
                        TEXT,
                    )
                ),
                headers=("ETag",),
            ),
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
            DescribedAnswer(
                status=200,
                description="OpenAPI 3.1.",
                content=Content(types={JSON: {"type": "object"}}),
                headers=("ETag",),
            ),
            UNCHANGED,
        ),
    ),
    Operation(
        method="get",
        path="/docs",
        name="getDocs",
        tag="Pages",
        summary="A page to try the API",
        answers=(DescribedAnswer(status=200, description="The page.", content=PAGE, headers=("ETag",)), UNCHANGED),
    ),
    Operation(
        method="get",
        path="/docs/{name}",
        name="getDocsFile",
        tag="Pages",
        summary="A script of that page, or its licence",
        parameters=(REFERENCE_FILE,),
        answers=(
            DescribedAnswer(
                status=200,
                description="The file.",
                content=Content(
                    types=dict.fromkeys(
                        ("text/javascript", "text/plain; charset=utf-8", "text/html; charset=utf-8"), TEXT
                    )
                ),
                headers=("ETag", "Vary"),
            ),
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
        answers=(DescribedAnswer(status=200, description="A page with links.", content=PAGE),),
    ),
    Operation(
        method="get",
        path="/problems/{name}",
        name="getProblem",
        tag="Pages",
        summary="Tell what a kind of error means",
        parameters=(PROBLEM,),
        answers=(DescribedAnswer(status=200, description="A page about it.", content=PAGE),),
        problems=(ProblemType.NOT_FOUND,),
    ),
)
