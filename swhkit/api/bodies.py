"""Bodies of requests: JSON, forms, multipart forms. Bounded by what the server reads at all (10 MiB)."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesParser
from urllib.parse import parse_qsl

from swhkit import jsonbody
from swhkit.api.calls import Body
from swhkit.api.errors import ParseError, UnsupportedMediaType, clean

#: Bytes of a body that are taken.
LIMIT = 10 << 20
#: Fields a form may have.
FIELDS = 100_000


def parsed(body: Body | None) -> object:
    """What a body holds: any JSON value, or the fields of a form (the last of a name counts).

    A body without content type is read as JSON; an empty one is an empty object. Raises ``ParseError``,
    ``UnsupportedMediaType``.
    """
    if body is None or not body.data:
        return {}
    kind = body.content_type.partition(";")[0].strip().lower()
    if kind in ("application/json", ""):
        return _json(body.data)
    if kind == "application/x-www-form-urlencoded":
        return _form(body.data)
    if kind == "multipart/form-data":
        return _multipart(body)
    raise UnsupportedMediaType(f'Unsupported media type "{clean(body.content_type)}" in request.')


def _json(data: bytes) -> object:
    try:
        return jsonbody.decoded(data)
    except jsonbody.NoJson as error:
        raise ParseError(str(error)) from None


def _form(data: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            data.decode("utf-8", "surrogateescape"), errors="surrogateescape", max_num_fields=FIELDS
        )
    except ValueError as error:
        raise ParseError(f"Form parse error - {error}") from None
    return {clean(name): clean(value) for name, value in pairs}


def _multipart(body: Body) -> dict[str, str]:
    head = b"Content-Type: " + body.content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser().parsebytes(head + body.data)
    if not message.is_multipart():
        raise ParseError("Multipart form parse error - Invalid boundary in multipart")
    return dict(field for part in message.walk() if (field := _field(part)) is not None)


def _field(part: Message) -> tuple[str, str] | None:
    name = part.get_param("name", header="content-disposition")
    data = part.get_payload(decode=True)
    if not isinstance(name, str) or not isinstance(data, bytes):
        return None
    return clean(name), data.decode("utf-8", "backslashreplace")
