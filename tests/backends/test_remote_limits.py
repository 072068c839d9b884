"""The remote reader keeps to its upstream's rate limits, and says when to come back."""

from __future__ import annotations

import email.utils
import json
import time
from typing import Any

import pytest
from remote_servers import answer, catalog, hostile, objects

from swhkit.errors import Unreachable
from swhkit.swhid import Kind, ObjectId
from swhkit.testing import samples
from swhkit_remote import pacing

COUNTERS = {"content": 3}
REFUSED = b'{"exception":"Throttled","reason":"Request was throttled. Expected available in 1 second."}'


def counters(**headers: Any) -> bytes:
    return answer(json.dumps(COUNTERS).encode(), **headers)


def refusal(seconds: int = 0, **headers: Any) -> bytes:
    said = REFUSED.replace(b"in 1 second", b"in %d seconds" % seconds) if seconds else REFUSED
    return answer(said, status="429 Too Many Requests", **headers)


def asked(url: str, **options: Any) -> dict[str, int]:
    return catalog(url, **{"timeout": 5.0, "retries": 0, "patience": 5.0, **options}).counters()


@pytest.mark.parametrize("headers", [{"Retry_After": "1"}, {}, {"X_RateLimit_Reset": "SOON"}])
def test_a_refusal_is_waited_for(headers: dict[str, str]) -> None:
    told: dict[str, Any] = {
        name: str(int(time.time()) + 2) if value == "SOON" else value for name, value in headers.items()
    }
    with hostile([refusal(**told), counters()]) as server:
        begin = time.monotonic()
        assert asked(server.url)["content"] == 3
        assert time.monotonic() - begin > 0.9
        assert len(server.requests) == 2


def test_the_date_of_a_retry_after_is_understood() -> None:
    soon = email.utils.formatdate(time.time() + 2, usegmt=True)
    with hostile([refusal(Retry_After=soon), counters()]) as server:
        begin = time.monotonic()
        assert asked(server.url)["content"] == 3
        assert time.monotonic() - begin > 0.5


def test_a_long_wait_is_said_at_once_and_kept_to() -> None:
    with hostile(refusal(3000)) as server:
        rows = catalog(server.url, timeout=5.0, patience=60.0)
        begin = time.monotonic()
        for _ in range(3):
            with pytest.raises(Unreachable, match=r"ask again in (3000|29\d\d) seconds, at 2.* UTC"):
                rows.counters()
        assert time.monotonic() - begin < 600
        # Nobody was asked again before the time.
        assert len(server.requests) == 1


def test_refusals_without_end_end() -> None:
    with hostile(refusal(1)) as server:
        begin = time.monotonic()
        with pytest.raises(Unreachable, match="takes no more requests"):
            asked(server.url, patience=2.5)
        assert time.monotonic() - begin < 5
        assert len(server.requests) <= 4


def test_the_last_request_of_a_window_is_noticed_before_a_refusal() -> None:
    reset = str(int(time.time()) + 1000)
    with hostile(
        counters(X_RateLimit_Limit="120", X_RateLimit_Remaining="0", X_RateLimit_Reset=reset)
    ) as server:
        rows = catalog(server.url, timeout=5.0, patience=5.0)
        assert rows.counters()["content"] == 3
        with pytest.raises(Unreachable, match="ask again in"):
            rows.counters()
        # The other store of the same archive, and the same token, counts in the same window …
        with pytest.raises(Unreachable, match="ask again in"):
            objects(server.url).missing([samples.UNKNOWN])
        assert len(server.requests) == 1
        # … another token, and endpoints with limits of their own, do not.
        assert catalog(server.url, token="other", timeout=5.0).counters()["content"] == 3
        with pytest.raises(Unreachable, match="bytes were due"):
            objects(server.url, retries=0).read([ObjectId(Kind.RELEASE, b"\x01" * 20)])
        assert len(server.requests) == 3


def test_many_threads_wait_for_one_window() -> None:
    first = refusal(1)
    with hostile([first, counters()]) as server:
        rows = catalog(server.url, timeout=5.0, patience=10.0)
        with pytest.raises(Unreachable):
            catalog(server.url, timeout=5.0, patience=0.0).counters()
        assert samples.together(8, lambda _: rows.counters()["content"]) == [3] * 8
        assert len(server.requests) == 9


def test_the_other_sides_clock_counts() -> None:
    """Its reset is a moment of its own clock, which may be wrong by hours."""
    theirs = time.time() - 7200
    date = email.utils.formatdate(theirs, usegmt=True)
    said = {"Date": date, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(theirs) + 30)}
    delay = pacing.exhausted(said)
    assert delay is not None
    assert 28 <= delay <= 31


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "soon"}, {"Retry-After": "-5"}, {"Retry-After": "1e9"}, {"Retry-After": "9" * 50},
        {"Retry-After": "Thu, 99 Foo 2024 99:99:99 GMT"}, {"X-RateLimit-Reset": "x"}, {"X-RateLimit-Reset": "0"},
        {"X-RateLimit-Reset": "9" * 12}, {},
    ],
)  # fmt: skip
def test_nonsense_is_a_moderate_wait(headers: dict[str, str]) -> None:
    delay = pacing.refused(headers, "")
    assert 1 <= delay <= 400 * 86400


def test_server_errors_are_asked_again_as_it_says() -> None:
    busy = answer(b'{"exception":"StorageDBError","reason":"busy"}', status="503 Busy", Retry_After="1")
    with hostile([busy, counters()]) as server:
        begin = time.monotonic()
        assert asked(server.url, retries=2)["content"] == 3
        assert time.monotonic() - begin > 0.9
    with hostile(busy) as server:
        with pytest.raises(
            Unreachable, match=r"status 503: busy \(asked 2 times; it asks to come back in 1 second"
        ):
            asked(server.url, retries=1)
        assert len(server.requests) == 2
    late = answer(b"{}", status="503 Busy", Retry_After="4000")
    with hostile(late) as server:
        begin = time.monotonic()
        with pytest.raises(Unreachable, match="come back in 4000 seconds"):
            asked(server.url, retries=5)
        assert time.monotonic() - begin < 2
        assert len(server.requests) == 1


def test_a_bad_token_is_said() -> None:
    said = b'{"exception":"AuthenticationFailed","reason":"Offline token not active"}'
    with hostile(answer(said, status="403 Forbidden")) as server:
        with pytest.raises(Unreachable, match="does not take the token"):
            asked(server.url, token="abc")
        reader = objects(server.url, token="abc")
        for _ in range(2):
            with pytest.raises(Unreachable, match="does not take the token"):
                reader.read([samples.UNKNOWN])
        # It is not remembered as a refusal of the endpoint: the token may be mended there.
        assert len(server.requests) == 3


def test_a_withheld_object_is_neither_absent_nor_corrupt() -> None:
    said = b'{"exception":"MaskedObjectException","reason":"under review","masked":{}}'
    with (
        hostile(answer(said, status="403 Forbidden")) as server,
        pytest.raises(Unreachable, match="withholds"),
    ):
        objects(server.url).read([samples.UNKNOWN])
