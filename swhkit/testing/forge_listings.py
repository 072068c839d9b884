"""Listings of a fake forge: what the contract of forges is tested with."""

from __future__ import annotations

import copy
import datetime
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, cast

import msgspec
import pytest

from swhkit.errors import Unavailable
from swhkit.forge import Forge, ForgeClient, ForgeContext, ForgeLimits, Repository
from swhkit.http import Patience
from swhkit.net import Network
from swhkit.plugin import Provider
from swhkit.registry import Registry
from swhkit.requests.schedule import Page
from swhkit.testing.web import Answered, Asked, FakeWeb, fake_web

#: The token that a fake forge is asked with.
TOKEN = "s3cret-t0ken-of-a-test"  # noqa: S105 (of no one)
_NEW_YEAR = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
_LOG = logging.getLogger(__name__)


class Sample(msgspec.Struct, frozen=True):
    """A repository that the fake forge holds: a ``number`` that stays, a ``name`` that may change."""

    number: int
    name: str
    updated: datetime.datetime
    private: bool = False


#: Seven repositories, each changed a day after the one before; two of them are private.
SAMPLES = tuple(
    Sample(number, name, _NEW_YEAR + datetime.timedelta(days=number), number in (2, 6))
    for number, name in enumerate(
        ("analytical", "engine", "secret", "difference", "notes", "numbers", "diary"), start=1
    )
)


class Clock:
    """A Unix time that goes on by sleeping alone; ``slept`` are the seconds of each time."""

    def __init__(self) -> None:
        self.time, self.slept = time.time(), list[float]()

    def sleep(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.slept.append(seconds)
        self.time += seconds

    def now(self) -> float:
        """The time."""
        return self.time


class Listing:
    """Lists the fake forge behind ``web``, again and again, as one that remembers pages."""

    def __init__(self, web: FakeWeb, forge: Callable[[], Forge], path: str) -> None:
        self.web, self._forge = web, forge
        self.url = web.url + path
        self.pages: dict[str, Page] = {}
        self.clock = Clock()

    def run(self, since: datetime.datetime | None = None, deadline: float | None = None) -> list[Repository]:
        """What a listing tells. Raises what it raises; requests are counted anew."""
        return list(self.told(since, deadline))

    def told(
        self, since: datetime.datetime | None = None, deadline: float | None = None
    ) -> Iterator[Repository]:
        """As ``run``, one by one."""
        self.web.requests.clear()
        client = ForgeClient(
            Network(from_cli=True),
            self.url,
            kept=self.pages.get,
            keep=self.pages.__setitem__,
            deadline=deadline,
            log=_LOG,
            limits=ForgeLimits(patience=Patience(attempts=3, wait=0.5)),
            sleep=self.clock.sleep,
            now=self.clock.now,
        )
        yield from self._forge().repositories(ForgeContext(url=self.url, client=client, log=_LOG), since)

    def ends(self) -> list[Repository] | None:
        """What a listing tells, None if it ends by an ``Unavailable``, which says no secret."""
        try:
            return self.run()
        except Unavailable as error:
            if TOKEN in str(error):
                raise AssertionError("an error tells the token") from error
            return None

    def fails(self, **options: Any) -> Unavailable:
        """The ``Unavailable`` that a listing ends by; it says no secret."""
        with pytest.raises(Unavailable) as caught:
            self.run(**options)
        assert TOKEN not in str(caught.value)
        assert str(caught.value), "an error says what is wrong"
        return caught.value


class ForgeFixtures:
    """What an author of a contract's subclass supplies, and what its tests are made with."""

    #: The description of the kind of forge, as the hook returns it.
    provider: Provider
    #: Fields of its config that differ from the defaults.
    settings: ClassVar[dict[str, Any]] = {}
    #: The field of its config that is its token; None if it has none.
    token_field: ClassVar[str | None] = "token"  # noqa: S105 (the name of a field)
    #: What follows the host in the instance's URL.
    path: ClassVar[str] = ""
    #: Whether the forge has repositories that are not for everybody, and tells of them.
    tells_private: ClassVar[bool] = True
    #: Whether a repository keeps its key when it is renamed.
    keeps_keys: ClassVar[bool] = True
    #: Whether a forge without repositories is an empty listing.
    may_be_empty: ClassVar[bool] = True

    def answer(self, asked: Asked, held: Sequence[Sample], base: str) -> Answered:
        """What the forge answers to a request when it holds these repositories, in this order, and stands at ``base``
        (``http://127.0.0.1:PORT``)."""
        raise NotImplementedError("supply a method named answer")

    def url_of(self, sample: Sample, base: str) -> str:
        """The origin that a repository has to be listed as."""
        raise NotImplementedError("supply a method named url_of")

    # --- what the tests are made with ---

    @pytest.fixture
    def held(self) -> list[Sample]:
        """What the forge holds; a test may change it."""
        return list(SAMPLES)

    @pytest.fixture
    def web(self, held: list[Sample]) -> Iterator[FakeWeb]:
        """The fake forge."""
        with ExitStack() as stack:
            web = stack.enter_context(fake_web(lambda _: Answered(status=404)))
            web.answer = lambda asked: self.answer(asked, held, web.url)
            yield web

    def forge(self) -> Forge:
        """A new forge, as for each listing."""
        given = {self.token_field: TOKEN} if self.token_field else {}
        factory = Registry(()).factory("forge", self.provider)
        return cast(Forge, factory(self.provider.config(**given, **self.settings)))

    @pytest.fixture
    def listing(self, web: FakeWeb) -> Listing:
        """A listing of the fake forge."""
        return Listing(web, self.forge, self.path)

    def expected(self, held: Sequence[Sample], web: FakeWeb) -> set[str]:
        """The origins of what everybody may read."""
        return {
            self.url_of(sample, web.url) for sample in held if not (sample.private and self.tells_private)
        }

    def requests_of(self, listing: Listing) -> int:
        """How many requests a listing makes."""
        listing.run()
        return len(listing.web.requests)


class tampered:  # noqa: N801 (used as a function)
    """For the time of the block, the answer to the request of that ``number`` (0 is the first of a listing) is what
    ``change`` makes of it: also when it is asked again, up to ``times``; ``onwards``: and all that follow."""

    def __init__(
        self,
        web: FakeWeb,
        number: int,
        change: Callable[[Answered], Answered],
        *,
        times: int = 1_000_000,
        onwards: bool = False,
    ) -> None:
        self._web, self._number, self._change = web, number, change
        self._left, self._onwards = times, onwards
        self._good = web.answer
        self._asked: Asked | None = None

    def __enter__(self) -> None:
        self._web.answer = self._answer

    def __exit__(self, *error: object) -> None:
        self._web.answer = self._good

    def _answer(self, asked: Asked) -> Answered:
        good = self._good(asked)
        if len(self._web.requests) == self._number + 1:
            self._asked = asked
        meant = self._asked is not None and (
            self._onwards or (asked.path, asked.params) == (self._asked.path, self._asked.params)
        )
        if not meant or not self._left:
            return good
        self._left -= 1
        return self._change(good)


def always(answered: Answered) -> Callable[[Answered], Answered]:
    """A change that makes this of every answer."""
    return lambda _: answered


def misled(good: Answered, own: str, other: str) -> Answered:
    """An answer whose addresses are those of another server."""
    headers = {name: value.replace(own, other) for name, value in good.headers.items()}
    return msgspec.structs.replace(
        good, body=good.body.replace(own.encode(), other.encode()), headers=headers
    )


def retyped(body: bytes, kind: str) -> bytes:
    """JSON whose values of one kind are of another; a body that is no JSON as it is."""
    try:
        value = json.loads(body)
    except ValueError:
        return body
    return json.dumps(_retyped(copy.deepcopy(value), kind)).encode()


def _retyped(value: Any, kind: str) -> Any:
    if isinstance(value, dict):
        return ["object"] if kind == "objects" else {key: _retyped(item, kind) for key, item in value.items()}
    if isinstance(value, list):
        return {"array": 1} if kind == "arrays" else [_retyped(item, kind) for item in value]
    if isinstance(value, bool):
        return "yes" if kind == "booleans" else value
    if isinstance(value, int | float):
        return str(value) if kind == "numbers" else value
    if isinstance(value, str):
        return 7 if kind == "texts" else value
    return {"null": True} if kind == "nulls" else value
