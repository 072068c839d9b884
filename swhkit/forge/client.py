"""The client that forge plugins ask their forges with: it pages, waits, retries and remembers for them.

Only the forge's own server is asked: links and redirects that lead elsewhere are refused, since a token would go along.
Whatever comes is bounded, and is an ``Unavailable`` unless it is what was expected. Texts of errors have no token in them.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from swhkit.errors import InvalidInput, InvalidUrl, NotFound, Unavailable
from swhkit.forge.asking import Asker, ForgeLimits
from swhkit.forge.paging import Fetched, Paging, by_link, with_parameters
from swhkit.forge.shapes import decoded, items_of
from swhkit.http.answer import plain_url
from swhkit.http.client import HARMLESS, same_server
from swhkit.net import Network, Target
from swhkit.requests.schedule import Page

T = TypeVar("T")
#: How often in a row the very same page may come under another address: an instance may know nothing of pages.
_SAME = 10
_NONE: Mapping[str, str] = {}
#: What is remembered of the headers of an answer: those that lead to the next page.
_KEPT_HEADERS = ("link", "x-next-page", "x-total-count", "x-total-pages")


class ForgeClient:
    """Asks one forge. Not for several threads at once.

    ``network`` judges addresses; ``url`` is the instance's. ``kept(url)`` gives the page that ``keep(url, page)`` has kept:
    the forge is then asked whether it is unchanged (``If-None-Match``). ``deadline`` is a ``time.monotonic()``.
    ``sleep`` and ``now`` (Unix time) are there for tests.

    Paths that begin with ``/`` are below ``url``; absolute URLs must be on the same server. All verbs raise ``NotFound``
    for 404 and 410, ``Unavailable`` for all else that is no usable answer; its ``retry_after`` is set when the forge
    wants to be left alone for longer than one can wait.
    """

    def __init__(
        self,
        network: Network,
        url: str,
        *,
        kept: Callable[[str], Page | None],
        keep: Callable[[str, Page], None],
        deadline: float | None,
        log: logging.Logger,
        limits: ForgeLimits = ForgeLimits(),  # noqa: B008 (frozen)
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.url = url.rstrip("/")
        self._kept, self._keep, self._network, self._limits = kept, keep, network, limits
        self._asker = Asker(network, deadline=deadline, log=log, limits=limits, sleep=sleep, now=now)
        self._headers = _NONE
        self._server: Target | None = None

    def at(self, url: str, headers: Mapping[str, str] = _NONE) -> ForgeClient:
        """A client for the forge's API at ``url``: a path below the instance's URL, or an absolute URL, which may be on a
        server of its own. ``headers`` go with every request: the token (``Authorization: Bearer …``), ``Accept``.

        Raises ``InvalidInput`` if a token would go over plain http, unless the operator wrote an http URL, and for a token
        that no header can have.
        """
        if bad := [name for name, value in headers.items() if not (value.isascii() and value.isprintable())]:
            raise InvalidInput(f"{self.url}: the token for {bad[0]} has characters that a header cannot have")
        other = copy.copy(self)
        other.url, other._server = self._absolute(url).rstrip("/"), None
        other._headers = headers
        told = any(name.lower() not in HARMLESS for name in headers)
        written = self._network.from_cli and self.url.startswith("http:")
        if told and not other.url.startswith("https:") and not written:
            raise InvalidInput(f"{plain_url(other.url)}: a token is not sent over plain http; use https")
        return other

    def get_json(
        self,
        url: str,
        shape: type[T],
        *,
        params: Mapping[str, object] = _NONE,
        headers: Mapping[str, str] = _NONE,
    ) -> T:
        """The JSON behind ``url`` as a ``shape``: a ``msgspec.Struct`` type, ``dict[str, Any]``, ``list[int]`` …"""
        return self.get_document(url, shape, params=params, headers=headers)[0]

    def get_document(
        self,
        url: str,
        shape: type[T],
        *,
        params: Mapping[str, object] = _NONE,
        headers: Mapping[str, str] = _NONE,
    ) -> tuple[T, bytes]:
        """As ``get_json``, with the bytes it came as."""
        return self._get(
            self._with(url, params), headers, lambda page: (decoded(page.body, shape, page.url), page.body)
        )

    def get_text(self, url: str, *, params: Mapping[str, object] = _NONE, end: str = "") -> str:
        """The text behind ``url``, read as UTF-8. ``end`` is what it must have near its end (``</html>``), in any case:
        a page may break off without a trace."""
        return self._get(self._with(url, params), _NONE, lambda page: _whole(page, end)).text

    def texts(
        self, url: str, *, paging: Paging, params: Mapping[str, object] = _NONE, end: str = ""
    ) -> Iterator[Fetched]:
        """The pages of a listing that is no JSON, as ``pages`` has them, without items; ``end`` as for ``get_text``."""
        return self._walk(self._with(url, params), lambda page: _whole(page, end), paging, True)

    def each(
        self,
        url: str,
        shape: type[T],
        *,
        params: Mapping[str, object] = _NONE,
        within: str = "",
        paging: Paging = by_link,
        remember: bool = True,
    ) -> Iterator[tuple[T, bytes]]:
        """Every item of a listing, page after page: as a ``shape``, and as the JSON it came as. See ``pages``."""
        for page in self.pages(url, params=params, within=within, paging=paging, remember=remember):
            for item in page.items:
                yield decoded(bytes(item), shape, page.url), bytes(item)

    def pages(
        self,
        url: str,
        *,
        params: Mapping[str, object] = _NONE,
        within: str = "",
        paging: Paging = by_link,
        remember: bool = True,
    ) -> Iterator[Fetched]:
        """The pages of a listing. Each is a JSON array, or an object that has one as its key ``within``. ``paging`` tells
        the way to the next one: ``by_link``, ``by_number()``, ``by_header()``, ``by_body()``, or a function of yours.
        ``remember=False``: the URLs are never the same again, so that nothing is to be remembered of them.

        Raises ``Unavailable`` for a listing that has no end, and for one that leads to another server.
        """

        def taken(page: Fetched) -> Fetched:
            return msgspec.structs.replace(page, items=items_of(page.body, within, page.url))

        return self._walk(self._with(url, params), taken, paging, remember)

    def _walk(
        self, url: str, take: Callable[[Fetched], Fetched], paging: Paging, remember: bool
    ) -> Iterator[Fetched]:
        following: str | None = url
        seen, before, same = set[int](), b"", 0
        while following is not None:
            if hash(following) in seen or len(seen) >= self._limits.pages:
                raise Unavailable(f"{plain_url(following)}: the listing has no end (after {len(seen)} pages)")
            try:
                page = self._get(following, _NONE, take, remember)
            except NotFound as error:
                if not seen:
                    raise
                raise Unavailable(f"{error}: the listing breaks off") from error
            same = same + 1 if page.body == before else 0
            if same >= _SAME:
                raise Unavailable(f"{page.url}: the listing has no end (this page comes again and again)")
            yield page
            before = page.body
            seen.add(hash(following))
            following = self._following(page, paging)

    def _following(self, page: Fetched, paging: Paging) -> str | None:
        """The URL of the next page, if it is on the forge's own server."""
        try:
            url = paging(page)
            if url is None:
                return None
            url = self._absolute(url)
            self._judge(url)
        except (Unavailable, ValueError, msgspec.MsgspecError, RecursionError) as error:
            raise Unavailable(f"{page.url}: the next page is refused ({error})") from error
        return url

    def _absolute(self, url: str) -> str:
        return self.url + url if url.startswith("/") or not url else url

    def _with(self, url: str, params: Mapping[str, object]) -> str:
        url = self._absolute(url)
        return with_parameters(url, params) if params else url

    def _judge(self, url: str) -> None:
        """Raise ``Unavailable`` unless ``url`` is on the forge's own server."""
        if self._server is None:
            self._server = self._network.check(self.url, resolve=False)
        try:
            found = self._network.check(url, resolve=False)
        except InvalidUrl as error:
            raise Unavailable(str(error)) from error
        if "@" in urlsplit(found.url).netloc or not same_server(found, self._server):
            shown = plain_url(found.url)[:300]
            raise Unavailable(f"{shown}: this is not the forge's own server ({self._server.host})")

    def _get(
        self,
        url: str,
        headers: Mapping[str, str],
        take: Callable[[Fetched], T],
        remember: bool = True,
    ) -> T:
        """What ``take`` makes of an answer. It is kept only then: what is of no use must not come back by a 304."""
        self._judge(url)
        kept = self._kept(url) if remember else None
        condition = {"If-None-Match": kept.etag} if kept is not None else {}
        answer = self._asker.ask(url, {**self._headers, **headers, **condition})
        if answer.status == 304 and kept is not None:
            whole = {**kept.headers, **answer.headers}
            with suppress(
                Unavailable
            ):  # it was good when it was kept: what was looked for may have been less
                return take(Fetched(url=plain_url(url), headers=whole, body=kept.body))
            answer = self._asker.ask(url, {**self._headers, **headers})
        taken = take(Fetched(url=plain_url(url), headers=answer.headers, body=answer.body))
        etag = answer.headers.get("etag", "")
        if remember and etag and answer.framed and len(answer.body) <= self._limits.kept_size:
            told = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
            self._keep(url, Page(etag=etag, body=answer.body, headers=told))
        return taken


def _whole(page: Fetched, end: str) -> Fetched:
    if end.lower() not in page.text[-4096:].lower():
        raise Unavailable(f"{page.url}: the answer has not come whole (there is no {end} at its end)")
    return page
