"""`GET /docs`: a page that shows the API and lets one try it, and the files that it is made of.

The page is Scalar's, whole and as it was published. Nothing of it stays in memory: each request reads its file from the
disk. The script is kept compressed, and sent so to everybody: all browsers take it, and to unpack it for a client that
reads slowly would take memory.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

import falcon

from gateway.problem_types import ProblemType
from gateway.problems import ProblemError

FOLDER = Path(__file__).parent
PAGE = "index.html"


class ReferenceFile(NamedTuple):
    """One of the files: where it is on the disk, and the media type that it is served as."""

    path: Path
    media_type: str

    @property
    def is_compressed(self) -> bool:
        """Whether the file on the disk is in gzip's format."""
        return self.path.suffix == ".gz"


FILES: Mapping[str, ReferenceFile] = {
    PAGE: ReferenceFile(FOLDER / PAGE, falcon.MEDIA_HTML),
    "page.js": ReferenceFile(FOLDER / "page.js", falcon.MEDIA_JS),
    "scalar.js": ReferenceFile(FOLDER / "scalar.js.gz", falcon.MEDIA_JS),
    "scalar.LICENSE.txt": ReferenceFile(FOLDER / "scalar.LICENSE.txt", falcon.MEDIA_TEXT),
}
# Scalar makes its style elements by script, and has no nonce for most of them.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ReferenceResource:
    """Serves the page at `/docs`, and its files by their names."""

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str = PAGE) -> None:
        """Answer one of the files."""
        file = FILES.get(name)
        if file is None:
            raise ProblemError(ProblemType.NOT_FOUND, "the page has no such file")
        tag = _tag(file.path)
        resp.cache_control = ("no-cache",)
        resp.etag = tag
        resp.set_header("Content-Security-Policy", POLICY)
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Referrer-Policy", "no-referrer")
        if tag in (req.if_none_match or ()):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = file.media_type
        resp.content_length = file.path.stat().st_size
        if file.is_compressed:
            resp.set_header("Content-Encoding", "gzip")
        # The server closes what it has sent, and what is answered to HEAD it does not send.
        if req.method != "HEAD":
            resp.stream = file.path.open("rb", buffering=0)


@lru_cache
def _tag(path: Path) -> falcon.ETag:
    with path.open("rb") as content:
        return falcon.ETag(file_digest(content, "sha256").hexdigest()[:16])
