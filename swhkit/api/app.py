"""The aiohttp application: dispatch, headers, one hop to a thread.

``make_app`` puts every route of the table below ``/api/1/``. On the event loop a request is only matched and its body
awaited; handler, error mapping and encoding run together in one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import msgspec
from aiohttp import hdrs, web

from swhkit.api import bodies, errors, incoming, render
from swhkit.api.answers import Blob, Document, Redirect
from swhkit.api.calls import Body, Call, Links
from swhkit.api.paging import page_links
from swhkit.api.routing import BASE, Match, Route, Router, allowed
from swhkit.api.sending import Ready, send, sendable
from swhkit.api.table import ROUTES
from swhkit.api.threads import Threads
from swhkit.archive import Archive

_log = logging.getLogger(__name__)

#: The table of an application, for those that document, limit or extend it.
ROUTER = web.AppKey("swhkit_router", Router)

#: Threads that answer requests.
THREADS = 8
_COMMON = {
    "Server": "swhkit",
    "Vary": "Accept, origin, Cookie",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "DELETE, GET, OPTIONS, PATCH, POST, PUT",
    "Access-Control-Allow-Headers": "accept, authorization, content-type, user-agent, x-csrftoken, x-requested-with",
    "Access-Control-Max-Age": "86400",
}
_EXEMPT = 1_000_000
_WINDOW = 3600
_RATE = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")


class Asked(msgspec.Struct, frozen=True):
    """A request as the threads see it."""

    method: str
    path: str
    base: str
    query: Mapping[str, str]
    accept: str | None
    body: Body | None = None


def make_app(
    archive: Archive,
    *,
    public_url: str | None = None,
    routes: Sequence[Route] = ROUTES,
    threads: int = THREADS,
    on_loop: Collection[str] = (),
) -> web.Application:
    """The application over ``archive``, which stays the caller's to close.

    ``on_loop`` names routes whose handlers run on the event loop instead of in a thread: only for point reads of
    bounded cost on local stores, where the hop costs more than the work.
    ``public_url`` (``https://archive.example.org``) is what links begin with; without it, what the client called us.
    """
    router = Router(routes)
    service = Service(archive, router, public_url, threads, on_loop)
    app = web.Application(client_max_size=bodies.LIMIT)
    app[ROUTER] = router
    app[SERVICE] = service
    app.router.add_route("*", "/{path:[\\s\\S]*}", service.respond)
    app.on_cleanup.append(service.close)
    return app


class Service:
    """Answers requests on the loop and in its threads; ``drain`` lets those under way end."""

    def __init__(
        self,
        archive: Archive,
        router: Router,
        public_url: str | None,
        threads: int,
        on_loop: Collection[str] = (),
    ) -> None:
        self._archive, self._router, self._on_loop = archive, router, frozenset(on_loop)
        self._public = None if public_url is None else public_url.rstrip("/")
        self._threads = Threads(threads)
        self._common, self._common_until = _COMMON, 0
        self._active, self._idle, self._draining = 0, asyncio.Event(), False

    async def drain(self, patience: float) -> None:
        """Let requests under way end. New ones are answered, too: who listens has to be stopped first."""
        self._draining = True
        if self._active:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._idle.wait()

    async def close(self, app: web.Application) -> None:
        """Let the threads go; requests have ended by now or were given up."""
        del app
        self._threads.close()

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer any request. Never raises but for lost connections."""
        self._active += 1
        try:
            response = await self._respond(request)
            if self._draining:
                response.force_close()
            return response
        finally:
            self._active -= 1
            if self._draining and not self._active:
                self._idle.set()

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        try:
            ready = await self._ready(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client gets JSON and the log a traceback
            ready = _failed(errors.failure(error), render.JSON, None)
        headers = {**self._common_headers(), **ready.headers}
        if hdrs.ORIGIN in request.headers:
            headers["Access-Control-Allow-Origin"] = "*"
        if ready.blob is not None:
            return await send(request, ready.blob, headers, self._threads)
        return web.Response(status=ready.status, headers=headers, body=ready.body)

    async def _ready(self, request: web.Request) -> Ready:
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Ready(200, _PREFLIGHT)
        path, query = incoming.target(request)
        base = self._public or incoming.base(request)
        accept = request.headers.getall(hdrs.ACCEPT, None)
        asked = Asked(request.method, path, base, query, ",".join(accept) if accept else None)
        match = self._router.match(path)
        if match is None and path.startswith(BASE) and not path.endswith("/"):
            match = self._router.match(path + "/")
            if match is not None and request.method in ("GET", "HEAD", "OPTIONS"):
                return _moved(301, incoming.with_slash(request))
        if match is None:
            return _unrouted(asked)
        if match.lowered is not None and request.method in ("GET", "HEAD"):
            return _moved(302, match.lowered)
        if request.method == "POST" and "POST" in match.route.methods:
            asked = msgspec.structs.replace(asked, body=await incoming.body(request))
        if match.route.name in self._on_loop:
            return self._work(match, asked)
        return await self._threads.call(self._work, match, asked)

    def _work(self, match: Match, asked: Asked) -> Ready:
        """In a thread: handler, error mapping, encoding."""
        kind, fields = render.JSON, asked.query.get("fields")
        route = match.route
        try:
            try:
                kind = render.media_type(asked.accept, asked.query.get("format"))
            except errors.ApiError:
                if not route.binary:
                    raise
            if asked.method not in allowed(route.methods):
                raise errors.MethodNotAllowed(f'Method "{errors.clean(asked.method)}" not allowed.')
            ready = self._answer(match, asked, kind)
        except Exception as error:  # noqa: BLE001 - the one table decides
            ready = _failed(errors.failure(error), kind, fields)
        ready.headers.setdefault("Allow", _allow(route.methods))
        return ready

    def _answer(self, match: Match, asked: Asked, kind: str) -> Ready:
        if asked.method == "OPTIONS" and match.route.methods != ("GET",):
            return _encoded(200, _description(match.route), kind, {})
        links = Links(asked.base, self._router.templates)
        call = Call(self._archive, links, match.parameters, asked.query, asked.body, asked.method)
        answer = match.route.handler(call)
        if isinstance(answer, Blob):
            return sendable(answer)
        if isinstance(answer, Document):
            return Ready(200, {"Content-Type": answer.media_type, **answer.headers}, answer.body)
        if isinstance(answer, Redirect):
            return _moved(answer.status, answer.location)
        headers = {**answer.headers, **page_links(answer.next, answer.previous)}
        return _encoded(200, render.only_fields(answer.data, asked.query.get("fields")), kind, headers)

    def _common_headers(self) -> dict[str, str]:
        # Nobody is limited yet; clients rely on the headers all the same. The window is the hour of the clock.
        now = int(time.time())
        if now >= self._common_until:
            self._common_until = (now // _WINDOW + 1) * _WINDOW
            numbers = (_EXEMPT, _EXEMPT, self._common_until)
            self._common = {**_COMMON, **dict(zip(_RATE, map(str, numbers), strict=True))}
        return self._common


#: What answers the requests of an application.
SERVICE = web.AppKey("swhkit_service", Service)


def _encoded(status: int, data: object, kind: str, headers: dict[str, str]) -> Ready:
    return Ready(status, {"Content-Type": kind, **headers}, render.encoded(data, kind))


def _failed(failure: errors.Failure, kind: str, fields: str | None) -> Ready:
    data = render.only_fields(failure.data, fields)
    return _encoded(failure.status, data, kind, failure.headers)


def _unrouted(asked: Asked) -> Ready:
    try:
        format = asked.query.get("format")
        wanted = render.negotiated(asked.accept) if format is None else render.media_type(None, format)
    except errors.ApiError:
        wanted = render.JSON
    if wanted in (render.JSON, render.YAML):
        return _failed(errors.unrouted(asked.path), wanted, None)
    # The path is not repeated on a page: it is whatever a stranger put into a link.
    page = b"<!DOCTYPE html><title>Resource not found</title><h1>Resource not found</h1>"
    return Ready(404, {"Content-Type": "text/html; charset=utf-8"}, page)


def _moved(status: int, location: str) -> Ready:
    return Ready(status, {"Content-Type": "text/html; charset=utf-8", "Location": location})


def _description(route: Route) -> dict[str, object]:
    return {
        "name": route.name.replace("-", " ").capitalize(),
        "description": route.summary,
        "renders": [render.JSON, render.YAML],
        "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
    }


@lru_cache
def _allow(methods: tuple[str, ...]) -> str:
    return ", ".join(allowed(methods))
