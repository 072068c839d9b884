"""Questions to one web API: sent, paced, asked again, and never taken for answered when they were not.

The token goes to the configured scheme, host and port alone. Redirects are followed there and nowhere else.
"""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

import msgspec

from swhkit.errors import InvalidInput, Unreachable
from swhkit_remote.answers import ERROR_LIMIT, Answer, Broken, json_of, problem_of, shown
from swhkit_remote.connections import FAILURES, Pool
from swhkit_remote.pacing import Headers, retry_after, shared
from swhkit_remote.settings import RemoteConfig

T = TypeVar("T")
R = TypeVar("R")
Query = Mapping[str, str | int]

_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECTS_MAX = 5
#: Seconds before a question is asked again for the first time; then twice as many each time, up to the second.
BACKOFF, BACKOFF_MAX = 0.25, 10.0


class Client:
    """One web API and what it allows us. For any number of threads."""

    def __init__(self, config: RemoteConfig) -> None:
        self._parts = _address(config.url)
        self.url = self._parts.geturl()
        token = config.token or None
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise InvalidInput(f"the token for {self.url} has characters that no token has: blanks or others")
        self._token, self._retries, self._patience = token, config.retries, config.patience
        self._pool, self._pacer = Pool(self._parts, config.timeout), shared(self.url, token)
        self._threads = ThreadPoolExecutor(config.parallel, thread_name_prefix="swhkit-remote")
        self._ended = threading.Event()

    @classmethod
    def of(cls, config: RemoteConfig) -> Client:
        """The client of a configuration; nobody is connected to yet. Raises ``InvalidInput`` for a bad token."""
        return cls(config)

    # --- questions ---

    def json(
        self,
        path: str,
        shape: type[T],
        query: Query | None = None,
        *,
        body: object = None,
        scope: str = "swh_api",
    ) -> tuple[T, Headers]:
        """The JSON at ``path`` (below the URL, quoted) and the answer's headers; a POST if there is a ``body``.

        Raises ``NotThere`` only if the archive itself says so; ``Unreachable`` (often one of its kinds in ``answers``).
        """

        def take(answer: Answer) -> tuple[T, Headers]:
            return json_of(answer, shape, self.url), answer.headers

        data = None if body is None else msgspec.json.encode(body)
        return self._ask("GET" if data is None else "POST", self._target(path, query), data, scope, take)

    def binary(self, path: str, *, scope: str = "swh_api") -> Answer:
        """The bytes at ``path``, to be read or closed. Raises as ``json``."""
        return self._ask("GET", self._target(path), None, scope, self._binary)

    def head(self, path: str, *, scope: str = "swh_api") -> int | None:
        """The length of what ``binary`` would give, None if it is not told. Raises as ``json``, but knows the reason of
        a refusal from its status alone: a 404 is told by asking again."""
        target = self._target(path)
        status, length = self._ask("HEAD", target, None, scope, _length)
        if status == 200:
            return length
        answer = self.binary(path, scope=scope)
        answer.close()
        return answer.length

    def each(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """``work`` for every item, several at once, the results in order. Not to be called from within ``work``."""
        todo = list(items)
        self.check_open()
        if len(todo) < 2:
            return [work(item) for item in todo]
        try:
            return list(self._threads.map(work, todo))
        except RuntimeError:
            self.check_open()
            raise

    def check_open(self) -> None:
        """Raises ``ValueError`` after ``close``."""
        if self._ended.is_set():
            raise ValueError(f"the reader of {self.url} is closed")

    def close(self) -> None:
        """Close all connections; questions under way end with an error. May be called twice."""
        self._ended.set()
        self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- how they are asked ---

    def _target(self, path: str, query: Query | None = None) -> str:
        return self._parts.path + path + ("?" + urlencode(query, errors="surrogateescape") if query else "")

    def _ask(
        self, method: str, target: str, body: bytes | None, scope: str, take: Callable[[Answer], T]
    ) -> T:
        """Ask until there is an answer that ``take`` can be given, or none is to be had."""
        failures, waited = 0, 0.0
        while True:
            pause = self._pacer.delay(scope, self._patience - waited, self.url)
            waited += self._pause(pause)
            after: float | None = None
            try:
                answer = self._send(method, target, body)
                if answer.status == 429:
                    self._pacer.learn(scope, 429, answer.headers, _text(answer))
                    continue
                self._pacer.learn(scope, answer.status, answer.headers)
                if answer.status < 500:
                    return self._taken(answer, take)
                after, problem = retry_after(answer.headers), self._failure(answer)
            except ssl.SSLCertVerificationError as error:
                raise Unreachable(f"{self.url} shows no valid certificate: {error.verify_message}") from error
            except Broken as error:
                problem = str(error)
            except FAILURES as error:
                problem = f"{self.url} cannot be reached: {self._clean(_words(error))}"
            self.check_open()
            failures += 1
            pause = max(backoff(failures), after or 0.0)
            if failures > self._retries or waited + pause > max(self._patience, BACKOFF_MAX):
                when = f"; it asks to come back in {after:.0f} seconds" if after else ""
                raise Unreachable(
                    f"{problem} (asked {failures} {'time' if failures == 1 else 'times'}{when})"
                )
            waited += self._pause(pause)

    def _send(self, method: str, target: str, body: bytes | None) -> Answer:
        """One answer, redirects within the same origin followed."""
        for _ in range(_REDIRECTS_MAX + 1):
            connection, response = self._pool.ask(method, target, body, self._headers(body))
            answer = Answer(self._pool, connection, response, self.url)
            if answer.status not in _REDIRECTS:
                return answer
            answer.close()
            target = self._moved(method, target, answer.headers.get("Location"))
        raise Unreachable(f"{self.url} redirects in circles")

    def _moved(self, method: str, target: str, location: str | None) -> str:
        if method == "POST" or not location:
            raise Unreachable(f"{self.url} redirects where it should answer: is the address right?")
        try:
            to = urlsplit(urljoin(f"{self._parts.scheme}://{self._parts.netloc}{target}", location))
            same = (to.scheme, to.hostname, _port(to.scheme, to.port)) == (
                self._parts.scheme, self._parts.hostname, _port(self._parts.scheme, self._parts.port),
            )  # fmt: skip
        except ValueError:
            raise Unreachable(f"{self.url} redirects to something that is no address") from None
        if not same:
            where = self._clean(f"{to.scheme}://{to.hostname}")
            raise Unreachable(
                f"{self.url} redirects to {where}, which is not followed; configure the right address"
            )
        path = quote(to.path or "/", safe="/%~:@!$&'()*+,;=", errors="surrogateescape")
        return path + (f"?{quote(to.query, safe=_QUERY_SAFE)}" if to.query else "")

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "swhkit"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _taken(self, answer: Answer, take: Callable[[Answer], T]) -> T:
        try:
            if answer.status != 200 and take is not _length:
                raise problem_of(answer, self.url, self._clean)
            return take(answer)
        except BaseException:
            answer.close()
            raise

    def _binary(self, answer: Answer) -> Answer:
        if answer.media_type != "application/octet-stream":
            raise Unreachable(
                f"{self.url} answered with {shown(answer.media_type) or 'something'} where bytes were due: "
                f"a login page or a proxy?"
            )
        return answer

    def _failure(self, answer: Answer) -> str:
        return str(problem_of(answer, self.url, self._clean))

    def _pause(self, seconds: float) -> float:
        if seconds > 0 and self._ended.wait(seconds):
            self.check_open()
        return seconds

    def _clean(self, text: str) -> str:
        """A stranger's text, without what it may have learned from us."""
        return shown(text.replace(self._token, "***") if self._token else text)


_QUERY_SAFE = "/%~:@!$&'()*+,;=?"


def _address(url: str) -> SplitResult:
    """The address of the web API, with a slash at its end; of a site alone it is that of the first version there."""
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:
            return parts._replace(path=(parts.path.rstrip("/") or "/api/1") + "/")
    except ValueError:
        pass
    raise InvalidInput(f"{url} is no address that can be connected to: its host or port is wrong")


def backoff(failures: int) -> float:
    """Seconds before the next attempt: doubled each time, and somewhere between half and all of that."""
    return float(min(BACKOFF * 2**failures, BACKOFF_MAX)) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _length(answer: Answer) -> tuple[int, int | None]:
    text = answer.headers.get("Content-Length") or ""
    answer.close()
    return answer.status, int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _text(answer: Answer) -> str:
    try:
        return answer.read(ERROR_LIMIT).decode("utf-8", "replace")
    except Unreachable:
        return ""


def _words(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text) or type(error).__name__


def _port(scheme: str, port: int | None) -> int | None:
    return port or {"http": 80, "https": 443}.get(scheme)
