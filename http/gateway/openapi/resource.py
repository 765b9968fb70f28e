"""`GET /openapi.json`."""

from hashlib import sha256

import falcon

from gateway.media import JSON


class OpenApiResource:
    """Answers the description of the API."""

    def __init__(self) -> None:
        self._document = b""
        """The description as JSON; empty until somebody asks for it."""
        self._tag = falcon.ETag()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the document, which browsers keep and ask after."""
        if not self._document:
            # A replica that nobody asks does without the memory of all the texts.
            from gateway.openapi.document import encoded_document  # noqa: PLC0415

            self._document = encoded_document()
            self._tag = falcon.ETag(sha256(self._document).hexdigest()[:16])
        resp.cache_control = ("no-cache",)
        resp.etag = self._tag
        if self._tag in (req.if_none_match or ()):
            resp.status = falcon.HTTP_304
            return
        resp.content_type = JSON
        resp.data = self._document
