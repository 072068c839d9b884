"""What is read of a request before anything is done with it: target, host, body. All here runs on the event loop."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl, quote, unquote

from aiohttp import ClientPayloadError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from swhkit.api import bodies, errors
from swhkit.api.calls import Body
from swhkit.api.clients import HOST, Client

#: Seconds that a client may take to send its body.
PATIENCE = 60.0
_TOO_LARGE = f"The maximum size of a request body is {bodies.LIMIT} bytes"
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def target(request: web.Request) -> tuple[str, dict[str, str]]:
    """Decoded path, and the query with the last value of each name; bytes that are not UTF-8 as lone surrogates.

    Raises ``BadInput`` for a query of more than a thousand parameters.
    """
    raw, _, query = _raw_target(request).partition("?")
    path = unquote(raw, errors="surrogateescape") if "%" in raw else raw
    if not query:
        return path, {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape", max_num_fields=1000)
    except ValueError:
        raise errors.BadInput("The query string has too many parameters.") from None
    return path, dict(pairs)


def _raw_target(request: web.Request) -> str:
    # The request target as it was sent: nothing may be normalised, origin URLs have "//" and may have "..".
    target = request.raw_path
    return target if target.startswith("/") else request.rel_url.raw_path_qs


def base(request: web.Request, client: Client) -> str:
    """Scheme and host as the client calls us, or called the proxy. Raises ``BadInput`` for a host that is none."""
    # Not request.host: without the header that asks the DNS, here on the event loop.
    host = client.host or request.headers.get(hdrs.HOST) or _own_address(request)
    if not HOST.fullmatch(host):
        raise errors.BadInput("Invalid Host header.")
    return f"{client.scheme or request.scheme}://{host}"


def _own_address(request: web.Request) -> str:
    name = request.transport and request.transport.get_extra_info("sockname")
    if not name:
        return "localhost"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def with_slash(request: web.Request) -> str:
    """The target with a slash at the end of its path, fit for a header."""
    raw, mark, query = _raw_target(request).partition("?")
    # As it was sent, but for bytes that a header cannot have.
    return quote(f"{raw}/{mark}{query}".encode("utf-8", "surrogateescape"), safe=_PRINTABLE)


def headers(request: web.Request) -> dict[str, str]:
    """All headers, with names in lower case and the values of a repeated one joined by ``, `` (RFC 9110, 5.3)."""
    found: dict[str, list[str]] = {}
    for name, value in request.headers.items():
        found.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(values) for name, values in found.items()}


async def expected(request: web.Request) -> None:
    """Answer ``Expect: 100-continue``, unless the body will be refused by what is said of it. Other expectations are
    passed over (RFC 9110, 10.1.1)."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and _refusal(request) is None:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # This was no part of the answer.
        request.writer.output_size = 0


def _refusal(request: web.Request) -> errors.ApiError | None:
    """Why a body is not taken that is not there yet."""
    encoding = request.headers.get(hdrs.CONTENT_ENCODING, "").strip()
    if encoding.lower() not in ("", "identity"):
        # A few bytes may stand for very many; and no client of this API compresses what it sends.
        shown = errors.clean(encoding[:100])
        return errors.UnsupportedMediaType(f'Unsupported content encoding "{shown}" in request.')
    return errors.LargePayload(_TOO_LARGE) if (request.content_length or 0) > bodies.LIMIT else None


async def body(request: web.Request) -> Body:
    """The whole body. Raises ``LargePayload``, ``ParseError``, ``UnsupportedMediaType``."""
    refusal = _refusal(request)
    if refusal is not None:
        raise refusal
    try:
        async with asyncio.timeout(PATIENCE):
            data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise errors.LargePayload(_TOO_LARGE) from None
    except (TimeoutError, ClientPayloadError, HttpProcessingError, web.RequestPayloadError) as error:
        raise errors.ParseError(f"the request body could not be read: {type(error).__name__}") from None
    return Body(request.headers.get(hdrs.CONTENT_TYPE, ""), data)
