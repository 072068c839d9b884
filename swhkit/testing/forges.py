"""The contract of ``Forge``: what a listing must come to, whatever the forge answers.

Listings are real ones, by the client that a listing of the archive has, of a server on this machine that plays the forge.
"""

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

from swhkit.errors import NotFound, Unavailable
from swhkit.forge import Forge, ForgeClient, ForgeContext, ForgeLimits, Repository
from swhkit.http import Patience
from swhkit.net import Network
from swhkit.plugin import Provider
from swhkit.registry import Registry
from swhkit.requests.schedule import Page
from swhkit.testing.web import Answered, Asked, FakeWeb, fake_web

_NEW_YEAR = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
_TOKEN = "s3cret-t0ken-of-a-test"  # noqa: S105 (of no one)
_LOG = logging.getLogger(__name__)
#: Answers that are none of any forge.
_GARBAGE = (
    b"",
    b"{",
    b"null",
    b"7",
    b"<html>",
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'[{"id": 1e999}]',
)


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
        return list(self._forge().repositories(ForgeContext(url=self.url, client=client, log=_LOG), since))

    def ends(self) -> list[Repository] | None:
        """What a listing tells, None if it ends by an ``Unavailable``, which says no secret."""
        try:
            return self.run()
        except Unavailable as error:
            if _TOKEN in str(error):
                raise AssertionError("an error tells the token") from error
            return None

    def fails(self, **options: Any) -> Unavailable:
        """The ``Unavailable`` that a listing ends by; it says no secret."""
        with pytest.raises(Unavailable) as caught:
            self.run(**options)
        assert _TOKEN not in str(caught.value)
        assert str(caught.value), "an error says what is wrong"
        return caught.value


class ForgeContract:
    """Subclass it, set ``provider``, and supply ``answer`` and ``url_of``.

    The fake forge has to need more than one request for ``SAMPLES``: pages of three, say.
    """

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
        given = {self.token_field: _TOKEN} if self.token_field else {}
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

    # --- what is listed ---

    def test_everything_is_listed_once(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        found = listing.run()
        assert {repository.url for repository in found} == self.expected(held, web)
        assert len({repository.key for repository in found}) == len(found) == len(self.expected(held, web))
        assert len(web.requests) > 1, "let the fake forge have several pages"
        for repository in found:
            assert repository.key
            assert repository.key.isprintable()
            assert repository.visit_type
            assert repository.last_update is None or repository.last_update.tzinfo is not None
            assert (repository.metadata is None) == (repository.metadata_format == "")
            if repository.metadata is not None:
                json.loads(repository.metadata)

    def test_the_same_again_is_the_same(self, listing: Listing) -> None:
        assert listing.run() == listing.run()

    def test_a_renamed_repository_keeps_its_key(
        self, listing: Listing, held: list[Sample], web: FakeWeb
    ) -> None:
        if not self.keeps_keys:
            pytest.skip("this forge knows repositories by their paths alone")
        before = {repository.key: repository.url for repository in listing.run()}
        held[0] = msgspec.structs.replace(held[0], name="renamed")
        after = {repository.key: repository.url for repository in listing.run()}
        assert before.keys() == after.keys()
        assert self.url_of(held[0], web.url) in after.values()

    def test_what_comes_twice_does_no_harm(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        """What is pushed to during a listing moves to another page."""
        held[3:3] = held[:3]
        found = listing.run()
        assert {repository.url for repository in found} == self.expected(held, web)
        assert len({repository.key for repository in found}) == len(self.expected(held, web))

    def test_an_empty_forge_is_an_empty_listing(self, listing: Listing, held: list[Sample]) -> None:
        held.clear()
        if self.may_be_empty:
            assert listing.run() == []
        else:
            with pytest.raises((NotFound, Unavailable)):
                listing.run()

    def test_what_is_private_is_never_listed(self, listing: Listing, held: list[Sample]) -> None:
        if not self.tells_private:
            pytest.skip("this forge does not tell of what is private")
        held[:] = [msgspec.structs.replace(sample, private=True) for sample in held]
        assert listing.run() == []

    def test_what_changed_since_is_listed(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        since = held[3].updated - datetime.timedelta(hours=3)
        found = {repository.url for repository in listing.run(since)}
        assert found >= self.expected(held[3:], web)
        assert found <= self.expected(held, web)
        if self.forge().incremental():
            assert found < self.expected(held, web), "it says that since makes a listing shorter"

    def test_a_forge_that_is_not_there_is_not_found(self, listing: Listing, web: FakeWeb) -> None:
        web.answer = lambda _: Answered(status=404)
        with pytest.raises(NotFound):
            listing.run()

    # --- a forge in trouble ---

    def requests_of(self, listing: Listing) -> int:
        """How many requests a listing makes."""
        listing.run()
        return len(listing.web.requests)

    @pytest.mark.parametrize("status", [401, 403, 418, 500, 502, 503])
    def test_an_error_anywhere_is_no_shorter_listing(
        self, listing: Listing, web: FakeWeb, status: int
    ) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda _: Answered(b"out of order", status)):
                error = listing.fails()
                assert str(status) in str(error)

    def test_trouble_that_passes_is_outlasted(
        self, listing: Listing, held: list[Sample], web: FakeWeb
    ) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda _: Answered(status=502), times=1):
                assert {repository.url for repository in listing.run()} == self.expected(held, web)
        assert all(seconds < 5 for seconds in listing.clock.slept)

    def test_an_answer_that_breaks_off_is_no_shorter_listing(self, listing: Listing, web: FakeWeb) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda good: msgspec.structs.replace(good, cut=len(good.body) // 2)):
                listing.fails()

    def test_half_an_answer_is_no_answer(self, listing: Listing, web: FakeWeb) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(
                web, number, lambda good: msgspec.structs.replace(good, body=good.body[: len(good.body) // 2])
            ):
                listing.fails()

    @pytest.mark.parametrize("garbage", _GARBAGE, ids=range(len(_GARBAGE)))
    def test_garbage_is_unavailable(self, listing: Listing, web: FakeWeb, garbage: bytes) -> None:
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda good: msgspec.structs.replace(good, body=garbage)):
                listing.fails()

    @pytest.mark.parametrize("kind", ["numbers", "texts", "booleans", "objects", "arrays", "nulls"])
    def test_json_of_another_shape_is_unavailable_or_does_not_matter(
        self, listing: Listing, web: FakeWeb, kind: str
    ) -> None:
        """No answer makes the plugin fail in another way, and none makes a listing shorter."""
        whole = listing.run()
        for number in range(len(web.requests)):
            with tampered(
                web, number, lambda good: msgspec.structs.replace(good, body=retyped(good.body, kind))
            ):
                found = listing.ends()
                assert found is None or len(found) >= len(whole)

    def test_a_listing_without_end_ends(self, listing: Listing, web: FakeWeb) -> None:
        """Each answer is the first page with something that leads on."""
        for number in range(self.requests_of(listing)):
            known = list[Answered]()

            def again(good: Answered, known: list[Answered] = known) -> Answered:
                known.append(good)
                return known[0]

            with tampered(web, number, again, onwards=True):
                assert listing.ends() is None or len(known) <= 12, "the same page came again and again"

    def test_time_ends_a_listing(self, listing: Listing) -> None:
        listing.fails(deadline=time.monotonic() - 1)

    # --- a forge that wants to be left alone ---

    def test_a_short_wait_is_waited(self, listing: Listing, held: list[Sample], web: FakeWeb) -> None:
        for number in range(self.requests_of(listing)):
            busy = Answered(status=429, headers={"Retry-After": "7"})
            listing.clock.slept.clear()
            with tampered(web, number, lambda _, busy=busy: busy, times=1):
                assert {repository.url for repository in listing.run()} == self.expected(held, web)
            assert sum(listing.clock.slept) == pytest.approx(7, abs=0.1)

    @pytest.mark.parametrize("status", [403, 429, 503])
    def test_a_long_wait_is_left_to_the_caller(self, listing: Listing, web: FakeWeb, status: int) -> None:
        busy = Answered(status=status, headers={"Retry-After": "1800"})
        for number in range(self.requests_of(listing)):
            with tampered(web, number, lambda _: busy):
                assert listing.fails().retry_after == pytest.approx(1800, abs=1)
                assert len(web.requests) == number + 1, "it was asked once more"
        assert listing.clock.slept == []

    @pytest.mark.parametrize("prefix", ["X-RateLimit", "RateLimit"])
    def test_an_allowance_that_is_used_up_is_left_to_the_caller(
        self, listing: Listing, web: FakeWeb, prefix: str
    ) -> None:
        """When the forge refuses, and already when it says that this was the last request."""
        total = self.requests_of(listing)
        reset = {"X-RateLimit": f"{listing.clock.time + 900:.0f}", "RateLimit": "900"}[prefix]
        told = {f"{prefix}-Remaining": "0", f"{prefix}-Reset": reset}
        for number in range(total):
            with tampered(web, number, lambda _: Answered(status=403, headers=told)):
                assert listing.fails().retry_after == pytest.approx(900, abs=2)
        for number in range(total - 1):
            with tampered(
                web, number, lambda good: msgspec.structs.replace(good, headers={**good.headers, **told})
            ):
                assert listing.fails().retry_after == pytest.approx(900, abs=2)
                assert len(web.requests) == number + 1, "it was asked though nothing was left"

    # --- what must not get out ---

    def test_nothing_leads_to_another_server(self, listing: Listing, web: FakeWeb) -> None:
        with fake_web(lambda _: Answered(b"[]")) as elsewhere:
            for number in range(self.requests_of(listing)):
                with tampered(web, number, lambda good: misled(good, web.url, elsewhere.url)):
                    listing.ends()
            assert elsewhere.requests == []

    def test_a_redirect_to_another_server_is_refused(self, listing: Listing, web: FakeWeb) -> None:
        with fake_web(lambda asked: self.answer(asked, SAMPLES, web.url)) as elsewhere:
            for number in range(self.requests_of(listing)):
                moved = Answered(status=302, headers={"Location": f"{elsewhere.url}{self.path}/x?y=z"})
                with tampered(web, number, lambda _, moved=moved: moved):
                    listing.fails()
            for asked in elsewhere.requests:
                assert not any(_TOKEN in value for value in asked.headers.values())

    def test_the_token_is_sent_and_not_told(
        self, listing: Listing, web: FakeWeb, caplog: pytest.LogCaptureFixture
    ) -> None:
        if self.token_field is None:
            pytest.skip("this forge takes no token")
        caplog.set_level(logging.DEBUG)
        for number in range(self.requests_of(listing)):
            assert any(_TOKEN in value for value in web.requests[0].headers.values())
            with tampered(web, number, lambda _: Answered(status=502)):
                listing.fails()
        assert _TOKEN not in caplog.text

    # --- what is remembered ---

    def test_an_unchanged_forge_is_asked_whether_it_is(self, listing: Listing, web: FakeWeb) -> None:
        web.etags = True
        first = listing.run()
        assert listing.pages, "nothing was remembered"
        assert listing.run() == first
        assert web.unchanged == len(web.requests)
        assert all("if-none-match" in asked.headers for asked in web.requests)

    def test_what_is_of_no_use_is_not_remembered(self, listing: Listing, web: FakeWeb) -> None:
        web.etags = True
        for number in range(self.requests_of(listing)):
            listing.pages.clear()
            with tampered(web, number, lambda good: msgspec.structs.replace(good, body=b"{")):
                listing.fails()
            assert all(page.body != b"{" for page in listing.pages.values())


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
