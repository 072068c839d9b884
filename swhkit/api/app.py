"""The aiohttp application: dispatch, headers, one hop to a thread.

``make_app`` puts every route of the table below ``/api/1/``. On the event loop a request is only matched, counted and its
body awaited; handler, error mapping and encoding run together in one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache

import msgspec
from aiohttp import hdrs, web

from swhkit.api import bodies, errors, incoming, pages, render, requestids
from swhkit.api.answers import Blob, Data, Document, Page, Redirect
from swhkit.api.auth import Tokens
from swhkit.api.calls import NO_HEADERS, Body, Call, Links, User
from swhkit.api.clients import Clients, Networks
from swhkit.api.conditions import NO_CONDITIONS, Conditions, conditions
from swhkit.api.gate import Gate, Visitor
from swhkit.api.headers import COMMON, PREFLIGHT, SHARED
from swhkit.api.metrics import Metrics
from swhkit.api.operations import READ_METRICS
from swhkit.api.paging import page_links
from swhkit.api.routing import Match, Route, Router, allowed
from swhkit.api.sending import Ready, revalidated, send, sendable
from swhkit.api.table import ROUTES
from swhkit.api.threads import Threads
from swhkit.api.throttling import Limits
from swhkit.archive import Archive
from swhkit.desk import Desk
from swhkit.requests import Requests

_log = logging.getLogger(__name__)

#: The table of an application, for those that document, limit or extend it.
ROUTER = web.AppKey("swhkit_router", Router)
#: The address of the client of a request, for those that write it down.
CLIENT = web.RequestKey("swhkit_client", str)
#: The id of a request, for the same.
REQUEST_ID = web.RequestKey("swhkit_request_id", str)

#: Networks that may read the metrics if nothing else is said.
LOOPBACK = ("127.0.0.0/8", "::1/128")
#: What is counted for a request whose client went away before its answer.
_GONE = 499
#: Threads that answer requests.
THREADS = 8


class Asked(msgspec.Struct, frozen=True):
    """A request as the threads see it."""

    method: str
    path: str
    base: str
    query: Mapping[str, str]
    accept: str | None
    body: Body | None = None
    conditions: Conditions = NO_CONDITIONS
    user: User | None = None
    id: str = "-"
    headers: Mapping[str, str] = NO_HEADERS


def make_app(
    archive: Archive,
    *,
    public_url: str | None = None,
    routes: Sequence[Route] = ROUTES,
    threads: int = THREADS,
    on_loop: Collection[str] = (),
    requests: Callable[[], Requests | None] | None = None,
    limits: Limits | None = None,
    clients: Clients | None = None,
    metrics_networks: Sequence[str] = LOOPBACK,
    desk: Desk | None = None,
) -> web.Application:
    """The application over ``archive``, which stays the caller's to close.

    ``on_loop`` names routes whose handlers run on the event loop instead of in a thread: only for point reads of
    bounded cost on local stores, where the hop costs more than the work.
    ``public_url`` (``https://archive.example.org``) is what links begin with; without it, what the client called us.
    ``requests`` opens the store of access tokens, or gives None while there is none; without it nobody is known. Without
    ``limits`` there are none, without ``clients`` every peer is the client itself. ``metrics_networks`` may
    read ``/metrics``. ``desk`` takes requests to save code and to add forges, and stays the caller's to close; without it
    none are taken.
    """
    router, hops = Router(routes), Threads(threads)
    tokens = Tokens(requests or (lambda: None), hops.send)
    inside = {READ_METRICS: Networks(metrics_networks)}
    gate = Gate(clients or Clients(), tokens, limits or Limits({}, None), hops, inside)
    service = Service(archive, router, gate, hops, public_url, on_loop, desk)
    app = web.Application(client_max_size=bodies.LIMIT)
    app[ROUTER] = router
    app[SERVICE] = service
    everything = _Everything()
    everything.add_route("*", service.respond, expect_handler=incoming.expected)
    app.router.register_resource(everything)
    app.on_cleanup.append(service.close)
    return app


class _Everything(web.DynamicResource):
    """Every path, and what is none (``OPTIONS *``): what is not ours is refused in our form, too."""

    def __init__(self) -> None:
        super().__init__("/{path}")

    def _match(self, path: str) -> dict[str, str]:  # noqa: ARG002
        return {}


class Service:
    """Answers requests on the loop and in its threads; ``drain`` lets those under way end."""

    def __init__(
        self,
        archive: Archive,
        router: Router,
        gate: Gate,
        threads: Threads,
        public_url: str | None,
        on_loop: Collection[str] = (),
        desk: Desk | None = None,
    ) -> None:
        self._desk = desk
        self._archive, self._router, self._on_loop = archive, router, frozenset(on_loop)
        self.gate, self._threads = gate, threads
        self._public = None if public_url is None else public_url.rstrip("/")
        self._active, self._idle = 0, asyncio.Event()
        self.metrics = Metrics(archive, lambda: self._active, lambda: threads.waiting)

    async def drain(self, patience: float) -> None:
        """Let requests under way end. New ones are answered, too: who listens has to be stopped first."""
        self.metrics.draining = True
        if self._active:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._idle.wait()

    async def close(self, app: web.Application) -> None:
        """Let the threads and the tokens go; requests have ended by now or were given up."""
        del app
        self._threads.send(self.gate.close)
        self._threads.close()

    async def respond(self, request: web.Request) -> web.StreamResponse:
        """Answer any request. Never raises but for lost connections."""
        self._active += 1
        begun, status = time.perf_counter(), _GONE
        visitor = self.gate.visitor(request.remote, request.headers)
        request[CLIENT], request[REQUEST_ID] = visitor.client.address, visitor.id
        requestids.CURRENT.set(visitor.id)
        try:
            response = await self._respond(request, visitor)
            status = response.status
            if self.metrics.draining:
                response.force_close()
            return response
        finally:
            self.metrics.answered(visitor.route, status, time.perf_counter() - begun)
            self._active -= 1
            if self.metrics.draining and not self._active:
                self._idle.set()

    async def _respond(self, request: web.Request, visitor: Visitor) -> web.StreamResponse:
        try:
            ready = await self._ready(request, visitor)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client gets JSON and the log a traceback
            ready = _failed(errors.failure(error), render.JSON, None)
        headers = {
            **COMMON,
            **self.gate.headers(visitor),
            requestids.HEADER: visitor.id,
            **ready.headers,
        }
        if hdrs.ORIGIN in request.headers:
            headers.update(SHARED)
        if ready.blob is not None:
            return await send(request, ready, headers, self._threads, self.metrics.sent)
        if request.method != "HEAD":
            self.metrics.sent(len(ready.body))
        return web.Response(status=ready.status, headers=headers, body=ready.body)

    async def _ready(self, request: web.Request, visitor: Visitor) -> Ready:
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return Ready(200, PREFLIGHT)
        path, query = incoming.target(request)
        base = self._public or incoming.base(request, visitor.client)
        accept = request.headers.getall(hdrs.ACCEPT, None)
        asked = Asked(request.method, path, base, query, ",".join(accept) if accept else None, id=visitor.id)
        if (wanted := conditions(request.headers)) is not NO_CONDITIONS:
            asked = msgspec.structs.replace(asked, conditions=wanted)
        match = self._router.match(path)
        if match is None and not path.endswith("/"):
            match = self._router.match(path + "/")
            if match is not None and request.method in ("GET", "HEAD", "OPTIONS"):
                return _moved(301, incoming.with_slash(request))
        if match is None:
            return _unrouted(asked)
        visitor.route = match.route.name
        if match.lowered is not None and request.method in ("GET", "HEAD", "OPTIONS"):
            return _moved(302, match.lowered)
        await self.gate.admit(visitor, match.route, request.method)
        if visitor.refusal is not None:
            return self._work(match, asked, visitor.refusal)
        if visitor.user is not None:
            asked = msgspec.structs.replace(asked, user=visitor.user)
        if request.method == "POST" and "POST" in match.route.methods:
            asked = msgspec.structs.replace(asked, body=await incoming.body(request))
            if match.route.reads_headers:
                asked = msgspec.structs.replace(asked, headers=incoming.headers(request))
        if match.route.name in self._on_loop:
            return self._work(match, asked)
        return await self._threads.call(self._work, match, asked)

    def _work(self, match: Match, asked: Asked, refusal: Exception | None = None) -> Ready:
        """In a thread: handler, error mapping, encoding; of a ``refusal``, which is quick, also on the event loop."""
        requestids.CURRENT.set(asked.id)
        kind, fields = render.JSON, asked.query.get("fields")
        route = match.route
        try:
            try:
                kind = render.media_type(asked.accept, asked.query.get("format"))
            except errors.ApiError:
                if not route.binary:
                    raise
            if refusal is not None:
                raise refusal
            if asked.method not in allowed(route.methods):
                raise errors.MethodNotAllowed(f'Method "{errors.clean(asked.method)}" not allowed.')
            ready = self._answer(match, asked, kind)
        except errors.NoResource:
            return _unrouted(asked)
        except Exception as error:  # noqa: BLE001 - the one table decides
            ready = _failed(errors.failure(error), kind, fields, asked, route)
        ready.headers.setdefault("Allow", _allow(route.methods))
        return ready

    def _answer(self, match: Match, asked: Asked, kind: str) -> Ready:
        if asked.method == "OPTIONS" and match.route.methods != ("GET",):
            return _encoded(200, _description(match.route), kind, {}, asked, match.route)
        links = Links(asked.base, self._router.templates)
        call = Call(
            self._archive,
            links,
            match.parameters,
            asked.query,
            asked.body,
            asked.method,
            asked.user,
            self.metrics,
            self._desk,
            asked.headers,
        )
        answer = match.route.handler(call)
        if isinstance(answer, Blob):
            return sendable(answer, asked.conditions, asked.method)
        if isinstance(answer, Document):
            headers = {"Content-Type": answer.media_type, **answer.headers}
            ready = Ready(answer.status, headers, answer.body)
            return _kept(ready, asked)
        if isinstance(answer, Page):
            page = pages.render(answer.template, asked.base, answer.values)
            return _kept(Ready(answer.status, pages.headers(answer.media_type), page), asked)
        if isinstance(answer, Redirect):
            return _moved(answer.status, answer.location)
        headers = {**answer.headers, **page_links(answer.next, answer.previous)}
        data = render.only_fields(answer.data, asked.query.get("fields"))
        return _kept(_encoded(answer.status, data, kind, headers, asked, match.route, answer), asked)


#: What answers the requests of an application.
SERVICE = web.AppKey("swhkit_service", Service)


def _kept(ready: Ready, asked: Asked) -> Ready:
    """An answer that a client may have already."""
    if ready.status != 200 or asked.method not in ("GET", "HEAD"):
        return ready
    return revalidated(ready, asked.conditions)


def _encoded(
    status: int,
    data: object,
    kind: str,
    headers: dict[str, str],
    asked: Asked | None = None,
    route: Route | None = None,
    answer: Data = Data(None),  # noqa: B008 - frozen
) -> Ready:
    if kind != render.HTML or asked is None:
        return Ready(status, {"Content-Type": kind, **headers}, render.encoded(data, kind))
    shown = pages.Shown(
        asked.base,
        asked.method,
        asked.path,
        asked.query,
        route,
        status,
        headers,
        data,
        answer.next,
        answer.previous,
    )
    return Ready(status, {**pages.headers(pages.HTML), **headers}, pages.data_page(answer.view, shown))


def _failed(
    failure: errors.Failure,
    kind: str,
    fields: str | None,
    asked: Asked | None = None,
    route: Route | None = None,
) -> Ready:
    data = render.only_fields(failure.data, fields)
    return _encoded(failure.status, data, kind, failure.headers, asked, route)


def _unrouted(asked: Asked) -> Ready:
    try:
        format = asked.query.get("format")
        wanted = render.negotiated(asked.accept) if format is None else render.media_type(None, format)
    except errors.ApiError:
        wanted = render.JSON
    if wanted in (render.JSON, render.YAML):
        return _failed(errors.unrouted(asked.path), wanted, None)
    # The path is not repeated on a page: it is whatever a stranger put into a link.
    return Ready(404, pages.headers(pages.HTML), pages.render("missing.html", asked.base, {}))


def _moved(status: int, location: str) -> Ready:
    return Ready(status, {"Content-Type": "text/html; charset=utf-8", "Location": location})


def _description(route: Route) -> dict[str, object]:
    return {
        "name": route.name.replace("-", " ").capitalize(),
        "description": route.summary,
        "renders": [render.JSON, render.YAML, render.HTML],
        "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
    }


@lru_cache
def _allow(methods: tuple[str, ...]) -> str:
    return ", ".join(allowed(methods))
