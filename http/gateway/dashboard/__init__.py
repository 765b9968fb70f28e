"""`GET /`: a page that shows what all replicas do, and the files that it is made of; nothing comes from elsewhere."""

from hashlib import sha256
from pathlib import Path

import falcon

from gateway.problem_types import ProblemType
from gateway.problems import ProblemError

FOLDER = Path(__file__).parent
PAGE = "index.html"
TYPES = {
    ".html": falcon.MEDIA_HTML,
    ".js": falcon.MEDIA_JS,
    ".css": "text/css; charset=utf-8",
    ".txt": falcon.MEDIA_TEXT,
}
"""What the page is made of; other files of the folder are not served."""
CACHING = ("no-cache",)
"""Browsers keep each file, and ask whether it has changed: a 304 without a body where it has not."""


class DashboardResource:
    """Serves the page at `/`, and its files by their names."""

    def __init__(self, controls: str = "") -> None:
        """`controls` is the address that the page may ask besides this gateway; it may be empty."""
        self._policy = "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src data:",
                f"connect-src 'self' {controls}" if controls else "connect-src 'self'",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        )
        # Read once: a file that is changed on disk belongs to another release.
        self._files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}
        self._tags = {name: falcon.ETag(sha256(content).hexdigest()[:16]) for name, content in self._files.items()}

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str = PAGE) -> None:
        """Answer one of the files; the page asks for all others, and for all that it shows, by itself."""
        content = self._files.get(name)
        if content is None:
            raise ProblemError(ProblemType.NOT_FOUND, "the page has no such file")
        resp.cache_control = CACHING
        resp.etag = tag = self._tags[name]
        resp.set_header("Content-Security-Policy", self._policy)
        resp.set_header("X-Content-Type-Options", "nosniff")
        if tag in (req.if_none_match or ()):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = TYPES[Path(name).suffix]
        resp.data = content
