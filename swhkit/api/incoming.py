"""What is read of a request before anything is done with it: target, host, body. All here runs on the event loop."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import parse_qsl, quote, unquote

from aiohttp import ClientPayloadError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from swhkit.api import bodies, errors
from swhkit.api.calls import Body

#: Seconds that a client may take to send its body.
PATIENCE = 60.0
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", re.ASCII)
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


def base(request: web.Request) -> str:
    """Scheme and host as the client calls us. Raises ``BadInput`` for a host that is none."""
    # Not request.host: without the header that asks the DNS, here on the event loop.
    host = request.headers.get(hdrs.HOST) or _own_address(request)
    if not _HOST.fullmatch(host):
        raise errors.BadInput("Invalid Host header.")
    return f"{request.scheme}://{host}"


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


async def body(request: web.Request) -> Body:
    """The whole body. Raises ``LargePayload``, ``ParseError``."""
    try:
        async with asyncio.timeout(PATIENCE):
            data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise errors.LargePayload(f"The maximum size of a request body is {bodies.LIMIT} bytes") from None
    except (TimeoutError, ClientPayloadError, HttpProcessingError, web.RequestPayloadError) as error:
        raise errors.ParseError(f"the request body could not be read: {type(error).__name__}") from None
    return Body(request.headers.get(hdrs.CONTENT_TYPE, ""), data)
