"""The head of a plain request: which heads are plain, and the WSGI environ that they mean.

Only a head that matches positive lists is plain. Any other one is left to gunicorn's own parser, whose strictness then
decides whether it is refused and with which status.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

HEAD_BYTES_MAX = 8190
"""Longer heads take the gunicorn path, which knows the configured limits."""
BODY_BYTES_MAX = 16 * 1024
"""Longer bodies take the gunicorn path, which hands them to the app unread."""
HEADS_KNOWN_MAX = 64
"""Heads that are remembered with what they mean, as clients send few different ones."""

_REQUEST_LINE = rb"(?:GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH) /(?!/)[\x21\x22\x24-\x7e]* HTTP/1\.[01]\r\n"
_FIELD = rb"[A-Za-z0-9-]+:[\t\x20-\x7e\x80-\xff]*\r\n"
PLAIN_HEAD = re.compile(rb"%b(?:%b)*\r\n" % (_REQUEST_LINE, _FIELD))
PLAIN_HEAD_BEGUN = re.compile(rb"(?:%b(?:%b)*)?[^\n]*" % (_REQUEST_LINE, _FIELD))
_PLAIN_LENGTH = re.compile(rb"0|[1-9][0-9]{0,4}")
_GUNICORN_FIELDS = ("EXPECT", "HTTP2-SETTINGS", "TE", "TRAILER", "TRANSFER-ENCODING", "UPGRADE")
"""Fields whose meaning is left to gunicorn."""
_FIELD_NAMES_MAX, _FIELD_NAME_LENGTH_MAX = 512, 64
_GUNICORN = ""
"""Stands for the environ key of a field that sends its request the gunicorn path."""


class PlainHead:
    """What a plain head says, with the attributes that gunicorn's response and error handling ask of a request.

    It is shared by all requests that have this head, so nobody changes it once it is parsed.
    """

    __slots__ = ("close", "content_length", "environ", "method", "query", "uri", "version")
    body = None
    """Only gunicorn's error handling asks for it: the bodies of requests are in their environs."""

    def __init__(self) -> None:
        self.environ: dict[str, Any] = {}
        """The entries of the environ that come from the head."""
        self.content_length = 0
        self.method = self.uri = self.query = ""
        self.version = (1, 1)
        self.close = False

    def should_close(self) -> bool:
        """Tell whether the client wants the connection closed after the answer."""
        return self.close


class HeadParser:
    """Parses plain heads; one parser serves a whole worker, since it never switches greenlets."""

    def __init__(self, gunicorn_fields: Iterable[str], fields_max: int) -> None:
        """Take upper-case names of further fields that are left to gunicorn, and the limit of fields in a head."""
        self._keys = {name.encode(): _GUNICORN for name in (*_GUNICORN_FIELDS, *gunicorn_fields)}
        self._keys[b"CONTENT-TYPE"] = "CONTENT_TYPE"
        self._keys[b"CONTENT-LENGTH"] = "CONTENT_LENGTH"
        self._fields_max = fields_max
        self._head = PlainHead()
        self._plain = False
        self._fields = 0
        self.parse = lru_cache(HEADS_KNOWN_MAX)(self._parse)
        """Parses a whole head; gives None when gunicorn has to judge it."""

    def _parse(self, data: bytes) -> PlainHead | None:
        if PLAIN_HEAD.fullmatch(data) is None:
            return None
        self._head = head = PlainHead()
        self._plain = True
        self._fields = 0
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        if not self._plain or self._fields > self._fields_max:
            return None
        environ = head.environ
        environ["REQUEST_METHOD"] = head.method = parser.get_method().decode()
        environ["SERVER_PROTOCOL"] = "HTTP/1.1"
        if parser.get_http_version() == "1.0":
            head.version = (1, 0)
            head.close = environ.get("HTTP_CONNECTION", "").lower() != "keep-alive"
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        return head

    def on_url(self, url: bytes) -> None:
        """Take the target, which `PLAIN_HEAD` has found to be in origin form."""
        head = self._head
        environ = head.environ
        head.uri = uri = url.decode("ascii")
        path, _, head.query = uri.partition("?")
        environ["RAW_URI"] = uri
        environ["QUERY_STRING"] = head.query
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field; one that is repeated or left to gunicorn sends the request the gunicorn path."""
        key = self._keys.get(name)
        if key is None:
            key = self._learn(name)
        environ = self._head.environ
        if key is _GUNICORN or key in environ:
            self._plain = False
            return
        self._fields += 1
        environ[key] = text = value.decode("latin-1").strip(" \t")
        if key == "CONTENT_LENGTH":
            self._take_length(value)
        elif key == "HTTP_CONNECTION":
            self._take_connection(text.lower())

    def _learn(self, name: bytes) -> str:
        upper = name.upper()
        key = self._keys.get(upper)
        if key is None:
            key = "HTTP_" + upper.decode("ascii").replace("-", "_")
        if len(self._keys) < _FIELD_NAMES_MAX and len(name) <= _FIELD_NAME_LENGTH_MAX:
            self._keys[name] = key
        return key

    def _take_length(self, value: bytes) -> None:
        length = int(value) if _PLAIN_LENGTH.fullmatch(value) else BODY_BYTES_MAX + 1
        self._head.content_length = length
        self._plain = self._plain and length <= BODY_BYTES_MAX

    def _take_connection(self, option: str) -> None:
        self._head.close = option == "close"
        self._plain = self._plain and option in ("close", "keep-alive")
