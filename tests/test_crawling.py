"""Listings of forges, and what follows from them: origins that are due, forges that are due, requests that move."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import desks
import fake_forge
import msgspec
import pytest
from fake_forge import NOW, FakeForge

from swhkit import crawling, freshness
from swhkit.crawling import Crawled, crawl
from swhkit.desk import Desk
from swhkit.errors import Busy, NotHeld
from swhkit.files import FileLock
from swhkit.interrupts import Cancelled
from swhkit.jobs import Ending, Job, JobState
from swhkit.manifest import origin_digest
from swhkit.model import VisitStatus
from swhkit.queueing import ASKED, DUE, LISTING, TOLD, VISIT
from swhkit.requests.forges import TRANSITIONS, ActorRole, ForgeRequest, ForgeStatus
from swhkit.requests.schedule import Freshness, KnownForge, ListingStatus, NewForge, Seen, State, ToldBy
from swhkit.storage import Publication

DAY = datetime.timedelta(days=1)
HOUR = datetime.timedelta(hours=1)
NO_JITTER = "schedule: {jitter: 0}\n"


@pytest.fixture
def forge() -> Iterator[FakeForge]:
    with fake_forge.running() as opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with fake_forge.desk(tmp_path, NO_JITTER, request.param) as opened:
        yield opened


def known(desk: Desk, url: str, **settings: object) -> KnownForge:
    """The forge at ``url``, a trusted one that lists what is visited every week."""
    new = NewForge(kind="fake", url=url, source=ToldBy.CLI, visit_every=7 * 86_400.0, trusted=True)
    return desk.requests.schedule.set_forge(msgspec.structs.replace(new, **settings), NOW)


def origin(name: str) -> str:
    return f"https://code.example.org/{name}.git"


def row(desk: Desk, name: str) -> Freshness:
    found = desk.requests.schedule.freshness(origin(name), "git")
    assert found is not None
    return found


def jobs(desk: Desk, task: str = VISIT) -> list[Job]:
    """The open jobs of a task, oldest first."""
    return [job for job in reversed(desk.jobs.latest(JobState.QUEUED)) if job.task == task]


def urls(desk: Desk) -> list[str]:
    return sorted(job.arguments["url"].rpartition("/")[2].removesuffix(".git") for job in jobs(desk))


def do_all(desk: Desk, now: datetime.datetime, status: VisitStatus = VisitStatus.FULL) -> None:
    """What a worker does, with visits that bring nothing."""
    for lease in desk.jobs.lease("w", 60, now, count=1000, tasks=[VISIT]):
        arguments = lease.job.arguments
        visit(desk, arguments["url"], now, status)
        freshness.visited(desk, arguments["url"], arguments["visit_type"], now)
        assert desk.jobs.end([Ending(lease=lease, state=JobState.DONE)], now) == [True]


def visit(desk: Desk, url: str, now: datetime.datetime, status: VisitStatus) -> None:
    _, catalog, _ = desk.archive.writer()
    made = catalog.open_visit(url, "git", now)
    catalog.publish(url, made.number, Publication(status=status, date=now))


def ok(crawled: Crawled) -> Crawled:
    assert crawled.status is ListingStatus.COMPLETE, crawled.error
    return crawled


def test_what_a_forge_lists_is_kept_described_and_visited(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b", "c", updated="2030-01-01T00:00:00+00:00")
    found = known(desk, forge.url)
    heard: list[int] = []
    crawled = crawl(desk, found.id, None, NOW, progress=lambda _, done=0, __=None: heard.append(done))
    assert crawled == Crawled(
        forge=found.id,
        listing=crawled.listing,
        status=ListingStatus.COMPLETE,
        is_full=True,
        repositories=3,
        new=3,
        scheduled=3,
    )
    assert heard == [3]
    assert len(forge.asked) == 2
    assert urls(desk) == ["a", "b", "c"]
    assert {(job.priority, job.arguments["trusted"]) for job in jobs(desk)} == {(DUE, False)}
    fresh = row(desk, "a")
    assert fresh.last_update == datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    assert (fresh.every, fresh.due, fresh.forge, fresh.state) == (7 * 86_400, NOW + 7 * DAY, found.id, None)
    after = desk.requests.schedule.forge(found.id)
    assert after is not None
    assert (after.listed, after.full) == (NOW, NOW)
    target = f"swh:1:ori:{origin_digest(origin('a')).hex()}"
    assert desk.archive.catalog.authorities(target) == [("forge", forge.url)]
    ((_, said),) = desk.archive.catalog.extrinsic_metadata(target, ("forge", forge.url))
    assert (said.fetcher_name, said.format, said.discovery_date) == ("swhkit", "fake-json", NOW)
    assert msgspec.json.decode(said.metadata)["key"] == "a"


def test_the_same_description_is_kept_once(desk: Desk, forge: FakeForge) -> None:
    forge.has("a")
    found = known(desk, forge.url)
    target = f"swh:1:ori:{origin_digest(origin('a')).hex()}"

    def said() -> list[int]:
        records = desk.archive.catalog.extrinsic_metadata(target, ("forge", forge.url))
        return [msgspec.json.decode(record.metadata).get("stars", 0) for _, record in records]

    for day, stars in ((0, 0), (1, 0), (2, 1), (60, 1), (600, 1), (601, 0)):
        forge.rows[0]["stars"] = stars
        ok(crawl(desk, found.id, True, NOW + day * DAY))
    assert said() == [0, 1, 0]


def test_only_changes_are_visited_again(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b", updated="2030-01-01T00:00:00+00:00")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW)
    assert ok(crawl(desk, found.id, True, NOW + DAY)).scheduled == 0
    forge.rows[1]["updated"] = "2030-01-11T00:00:00+00:00"
    assert ok(crawl(desk, found.id, True, NOW + DAY)).scheduled == 1
    assert [(job.arguments["url"], job.priority) for job in jobs(desk)] == [(origin("b"), TOLD)]
    do_all(desk, NOW + DAY)
    assert ok(crawl(desk, found.id, True, NOW + DAY)).scheduled == 0
    assert row(desk, "a").due == NOW + 7 * DAY
    assert row(desk, "b").due == NOW + 8 * DAY


def test_what_fails_is_not_tried_anew_at_each_listing(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", updated="2030-01-01T00:00:00+00:00")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW, VisitStatus.FAILED)
    assert ok(crawl(desk, found.id, True, NOW + DAY)).scheduled == 0
    forge.rows[0]["updated"] = "2030-01-11T00:00:00+00:00"
    assert ok(crawl(desk, found.id, True, NOW + DAY)).scheduled == 1


def test_without_an_interval_the_forge_alone_brings_visits(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", updated="2030-01-01T00:00:00+00:00")
    found = known(desk, forge.url, visit_every=None)
    assert ok(crawl(desk, found.id, None, NOW)).scheduled == 1
    assert ok(crawl(desk, found.id, True, NOW)).scheduled == 1, "the job that waits, once more"
    assert len(jobs(desk)) == 1
    do_all(desk, NOW, VisitStatus.FAILED)
    assert row(desk, "a").due is None
    assert ok(crawl(desk, found.id, True, NOW + DAY)).scheduled == 1, "no good visit has seen it"
    do_all(desk, NOW + DAY)
    assert ok(crawl(desk, found.id, True, NOW + 2 * DAY)).scheduled == 0
    forge.rows[0]["updated"] = "2030-01-12T12:00:00+00:00"
    assert ok(crawl(desk, found.id, True, NOW + 3 * DAY)).scheduled == 1
    assert row(desk, "a").due is None


def test_a_changed_interval_holds_from_the_next_listing_on(desk: Desk, forge: FakeForge) -> None:
    forge.has("a")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW)
    known(desk, forge.url, visit_every=2 * 86_400.0)
    ok(crawl(desk, found.id, True, NOW + DAY))
    assert row(desk, "a").due == NOW + 2 * DAY
    assert ok(crawl(desk, found.id, True, NOW + 3 * DAY)).scheduled == 1, "due by now"


def test_what_changed_is_listed_until_a_week_has_passed(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", updated="2030-01-01T00:00:00+00:00")
    found = known(desk, forge.url)
    assert ok(crawl(desk, found.id, False, NOW)).is_full, "nothing was listed before"
    forge.rows.append({"key": "b", "url": origin("b"), "updated": "2030-01-10T12:30:00+00:00"})
    forge.asked.clear()
    crawled = ok(crawl(desk, found.id, None, NOW + HOUR))
    assert not crawled.is_full
    assert forge.asked[0]["since"] == (NOW - HOUR).isoformat()
    assert (crawled.repositories, crawled.new, crawled.lost) == (1, 1, 0)
    after = desk.requests.schedule.forge(found.id)
    assert after is not None
    assert (after.listed, after.full) == (NOW + HOUR, NOW)
    assert ok(crawl(desk, found.id, None, NOW + 7 * DAY)).is_full
    assert ok(crawl(desk, found.id, True, NOW + 7 * DAY)).is_full


def test_a_rename_is_followed_by_key(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW)
    forge.rows[0]["url"] = origin("renamed")
    crawled = ok(crawl(desk, found.id, True, NOW + DAY))
    assert (crawled.renamed, crawled.new) == (1, 0)
    assert urls(desk) == ["renamed"]
    former = row(desk, "a")
    assert (former.every, former.due) == (None, None)
    assert former.state is State.OK, "its history stays"
    (listed,) = [one for one in desk.requests.schedule.listed(found.id) if one.key == "a"]
    assert (listed.url, listed.former) == (origin("renamed"), (origin("a"),))


def test_what_an_interrupted_listing_has_left_is_settled_by_the_next(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW)
    left = row(desk, "b")
    forge.has("a")
    for day in range(1, 4):
        ok(crawl(desk, found.id, True, NOW + day * DAY))
    desk.requests.schedule.set_freshness([left])  # as if the last one had been killed when it had ended
    assert ok(crawl(desk, found.id, True, NOW + 4 * DAY)).lost == 0
    assert (row(desk, "b").every, row(desk, "b").due) == (None, None)


def test_a_rename_that_a_killed_listing_has_noted_is_settled_by_the_next(
    desk: Desk, forge: FakeForge
) -> None:
    forge.has("a", "b")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW)
    killed = desk.requests.schedule.begin_listing(found.id, True, NOW + DAY)
    renamed = Seen(key="a", url=origin("renamed"), visit_type="git")
    assert desk.requests.schedule.note_seen(killed.id, [renamed], NOW + DAY).renamed == (("a", origin("a")),)
    forge.rows[0]["url"] = origin("renamed")
    assert ok(crawl(desk, found.id, False, NOW + DAY)).renamed == 0
    assert row(desk, "a").every == 7 * 86_400, "a listing of changes is to be quick"
    assert ok(crawl(desk, found.id, True, NOW + DAY)).renamed == 0
    assert (row(desk, "a").every, row(desk, "a").due) == (None, None)
    assert row(desk, "renamed").every == row(desk, "b").every == 7 * 86_400


def test_a_name_that_another_takes_over_stays_visited(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW)
    forge.rows[0]["url"], forge.rows[2]["url"] = origin("c"), origin("a")
    ok(crawl(desk, found.id, True, NOW + DAY))
    for name in ("a", "b", "c"):
        assert row(desk, name).every == 7 * 86_400, name
    counts = desk.requests.schedule.count_listed(found.id)
    assert counts == {"enabled": 3, "disabled": 0}


def test_what_is_gone_from_one_listing_is_not_given_up(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    do_all(desk, NOW)
    forge.has("a", "b")
    for day in (1, 2):
        assert ok(crawl(desk, found.id, True, NOW + day * DAY)).lost == 0
        assert row(desk, "c").due == NOW + 7 * DAY
    assert ok(crawl(desk, found.id, False, NOW + 3 * DAY)).lost == 0, (
        "a listing of changes tells of no absence"
    )
    assert ok(crawl(desk, found.id, True, NOW + 3 * DAY)).lost == 1
    assert (row(desk, "c").due, row(desk, "c").every) == (None, None)
    assert row(desk, "a").due == NOW + 7 * DAY
    forge.has("a", "b", "c")
    assert ok(crawl(desk, found.id, True, NOW + 4 * DAY)).new == 0
    assert row(desk, "c").due == NOW + 7 * DAY, "it is visited again as if nothing had been"


@pytest.mark.parametrize(
    ("status", "headers", "reason", "after"),
    [
        (429, {"Retry-After": "7200"}, "left alone for 7200 s", 7200.0),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "600"}, "left alone for 600 s", 600.0),
        (404, {}, "404", None),
        (401, {}, "does it need a token", None),
    ],
)
def test_a_listing_that_breaks_off_keeps_what_came(
    desk: Desk, forge: FakeForge, status: int, headers: dict[str, str], reason: str, after: float | None
) -> None:
    forge.has("a", "b", "c", "d", "e")
    found = known(desk, forge.url)
    forge.trouble[2] = (status, headers)
    crawled = crawl(desk, found.id, None, NOW)
    assert crawled.status is ListingStatus.PARTIAL
    assert crawled.error is not None
    assert reason in crawled.error
    assert crawled.retry_after == (pytest.approx(after, abs=2) if after else None)
    assert (crawled.repositories, crawled.scheduled) == (2, 2)
    still = desk.requests.schedule.forge(found.id)
    assert still is not None
    assert still.listed is None
    forge.trouble.clear()
    again = ok(crawl(desk, found.id, None, NOW + HOUR))
    assert (again.repositories, again.new, again.is_full) == (5, 3, True)


def test_a_forge_that_is_not_there_fails(desk: Desk, forge: FakeForge) -> None:
    forge.has("a")
    found = known(desk, forge.url)
    forge.trouble[1] = (404, {})
    for _ in range(4):
        crawled = crawl(desk, found.id, None, NOW)
        assert crawled.status is ListingStatus.FAILED
        assert "404" in (crawled.error or "")
    (latest, *_) = desk.requests.schedule.listings(found.id)
    assert (latest.status, latest.error) == (ListingStatus.FAILED, crawled.error)


def test_partial_listings_give_nothing_up(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    forge.trouble[2] = (404, {})
    for day in range(1, 6):
        assert crawl(desk, found.id, True, NOW + day * DAY).lost == 0
    assert desk.requests.schedule.count_listed(found.id) == {"enabled": 3, "disabled": 0}


def test_rows_that_make_no_sense_are_counted_and_left_out(
    desk: Desk, forge: FakeForge, caplog: pytest.LogCaptureFixture
) -> None:
    bad = [
        ("k1", "ext::sh -c true"),
        ("k2", "http://10.1.2.3/r.git"),
        ("k3", "file:///etc"),
        ("k4", "https://code.example.org/a\nb"),
        ("", origin("nokey")),
        ("k5", 7),
        ("k6", "-u"),
        ("k7", f"https://code.example.org/{'x' * 5000}"),
    ]
    forge.has("a", "b")
    forge.rows[1:1] = [{"key": key, "url": url} for key, url in bad]
    forge.rows += [{"key": "k8", "url": origin("odd"), "type": "nonsense"}, {"odd": "no repository"}]
    broken: list[dict[str, object]] = [
        {"last_update": "yesterday"},
        {"metadata": "text"},
        {"metadata_format": None},
        {"metadata_format": "a\nb"},
        {"visit_type": ["git"]},
    ]
    forge.rows += [{"url": origin("broken"), "broken": fields} for fields in broken]
    crawled = ok(crawl(desk, known(desk, forge.url).id, None, NOW))
    refused = len(bad) + 2 + len(broken)
    assert (crawled.repositories, crawled.refused) == (2, refused)
    assert crawled.error is not None
    assert crawled.error.startswith(f"{refused} refused, the first: ")
    assert urls(desk) == ["a", "b"]
    assert "a repository was refused" in caplog.text


def test_secrets_in_urls_are_not_kept(desk: Desk, forge: FakeForge) -> None:
    forge.has("a")
    forge.rows[0]["url"] = "https://ada:hunter2@code.example.org/a.git"
    found = known(desk, forge.url)
    ok(crawl(desk, found.id, None, NOW))
    assert jobs(desk)[0].arguments["url"] == origin("a")
    assert [one.url for one in desk.requests.schedule.listed(found.id)] == [origin("a")]


def test_a_trusted_forge_vouches_for_its_own_host_alone(desk: Desk, forge: FakeForge) -> None:
    other = forge.url.rpartition(":")[0] + ":1"
    forge.rows = [
        {"key": "own", "url": f"{forge.url}/own.git"},
        {"key": "other", "url": f"{other}/other.git"},
        {"key": "out", "url": origin("out")},
    ]
    crawled = ok(crawl(desk, known(desk, forge.url).id, None, NOW))
    assert crawled.refused == 1
    trusted = {job.arguments["url"]: job.arguments["trusted"] for job in jobs(desk)}
    assert trusted == {f"{forge.url}/own.git": True, origin("out"): False}


def test_a_forge_that_nobody_vouches_for_has_no_private_address(desk: Desk, forge: FakeForge) -> None:
    forge.has("a")
    crawled = crawl(desk, known(desk, forge.url, trusted=False).id, None, NOW)
    assert crawled.status is ListingStatus.FAILED
    assert "127.0.0.1" in (crawled.error or "")
    assert forge.asked == []


def test_a_plugin_that_fails_is_a_failed_listing(desk: Desk, forge: FakeForge) -> None:
    forge.has("a")
    forge.rows.append({"raise": "it went wrong"})
    crawled = crawl(desk, known(desk, forge.url).id, None, NOW)
    assert crawled.status is ListingStatus.PARTIAL
    assert crawled.error == "internal error of the forge plugin fake: RuntimeError: it went wrong"
    assert urls(desk) == ["a"]
    unknown = desk.requests.schedule.set_forge(
        NewForge(kind="nothing", url=forge.url, source=ToldBy.CLI, trusted=True), NOW
    )
    crawled = crawl(desk, unknown.id, None, NOW)
    assert crawled.status is ListingStatus.FAILED
    assert "no forge named 'nothing'" in (crawled.error or "")


def test_options_come_from_the_environment(
    desk: Desk, forge: FakeForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.has("a")
    found = known(desk, forge.url, options={"token": "${FAKE_TOKEN}", "owner": "ada"})
    monkeypatch.delenv("FAKE_TOKEN", raising=False)
    crawled = crawl(desk, found.id, None, NOW)
    assert crawled.status is ListingStatus.FAILED
    assert "FAKE_TOKEN is not set" in (crawled.error or "")
    monkeypatch.setenv("FAKE_TOKEN", "s3cret")
    ok(crawl(desk, found.id, None, NOW))
    assert forge.asked[0]["owner"] == "ada"
    assert dict(desk.requests.schedule.forges()[0].options)["token"] == "${FAKE_TOKEN}"


def test_a_deadline_ends_a_listing(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    crawled = crawl(desk, known(desk, forge.url).id, None, NOW, deadline=time.monotonic() - 1)
    assert crawled.status in (ListingStatus.PARTIAL, ListingStatus.FAILED)
    assert crawled.error


def test_one_listing_of_a_forge_at_a_time(desk: Desk, forge: FakeForge) -> None:
    found = known(desk, forge.url)
    _, _, root = desk.archive.writer()
    (root / "forges").mkdir()
    with FileLock(root / "forges" / str(found.id)), pytest.raises(Busy, match="another process lists"):
        crawl(desk, found.id, None, NOW)
    ok(crawl(desk, found.id, None, NOW))
    with pytest.raises(NotHeld, match="no forge 99"):
        crawl(desk, 99, None, NOW)


def test_an_interrupted_listing_has_failed(desk: Desk, forge: FakeForge) -> None:
    forge.has("a", "b", "c")
    found = known(desk, forge.url)

    def interrupt(phase: str, done: int = 0, total: int | None = None) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        crawl(desk, found.id, None, NOW, progress=interrupt)
    (listing,) = desk.requests.schedule.listings(found.id)
    assert (listing.status, listing.error) == (ListingStatus.FAILED, "the listing was interrupted")
    assert ok(crawl(desk, found.id, None, NOW)).repositories == 3


def test_many_come_in_batches(desk: Desk, forge: FakeForge) -> None:
    forge.page_size = 700
    forge.has(*(f"r{number}" for number in range(1200)))
    heard: list[int] = []
    crawled = ok(
        crawl(desk, known(desk, forge.url).id, None, NOW, progress=lambda _, n=0, __=None: heard.append(n))
    )
    assert (crawled.repositories, crawled.new, crawled.scheduled) == (1200, 1200, 1200)
    assert heard == [500, 1000, 1200]


# The configuration, and when forges are due


def forges_of(url: str, **keys: object) -> str:
    return (
        NO_JITTER
        + "forges:\n  - "
        + msgspec.json.encode({"kind": "fake", "url": url, **keys}).decode()
        + "\n"
    )


def test_forges_of_the_configuration_come_and_go(tmp_path: Path, forge: FakeForge) -> None:
    with fake_forge.desk(tmp_path, forges_of(forge.url, every="2d", visit_every="3d")) as desk:
        crawling.tick(desk, NOW)
        (found,) = desk.requests.schedule.forges()
        assert (found.kind, found.url, found.source, found.trusted) == (
            "fake",
            forge.url,
            ToldBy.CONFIG,
            True,
        )
        assert (found.every, found.visit_every, found.due) == (2 * 86_400, 3 * 86_400, NOW + 2 * DAY)
        (job,) = jobs(desk, LISTING)
        assert job.arguments == {"forge": found.id, "full": True}
        assert job.group == "127.0.0.1"
        ok(crawl(desk, found.id, True, NOW))
    with fake_forge.desk(tmp_path, forges_of(forge.url)) as desk:
        crawling.tick(desk, NOW + HOUR)
        (found,) = desk.requests.schedule.forges()
        assert (found.every, found.visit_every) == (86_400, 7 * 86_400)
    with fake_forge.desk(tmp_path, NO_JITTER) as desk:
        crawling.tick(desk, NOW + 30 * DAY)
        (found,) = desk.requests.schedule.forges()
        assert not found.enabled
        assert len(jobs(desk, LISTING)) == 1, "no new one"
    with fake_forge.desk(tmp_path, forges_of(forge.url)) as desk:
        crawling.tick(desk, NOW + 31 * DAY)
        (found,) = desk.requests.schedule.forges()
        assert (found.enabled, found.id) == (True, 1)
        assert found.listed == NOW, "what was known of it is known"


def test_the_configuration_disables_no_forge_of_others(desk: Desk, forge: FakeForge) -> None:
    found = known(desk, forge.url)
    crawling.tick(desk, NOW)
    crawling.tick(desk, NOW)
    after = desk.requests.schedule.forge(found.id)
    assert after is not None
    assert after.enabled


def test_forges_are_listed_when_they_are_due(desk: Desk, forge: FakeForge) -> None:
    found = known(desk, forge.url, every=3600.0)
    crawling.tick(desk, NOW)
    assert [job.arguments["full"] for job in jobs(desk, LISTING)] == [True]
    _end_listing_jobs(desk, NOW)
    ok(crawl(desk, found.id, True, NOW))
    crawling.tick(desk, NOW + HOUR / 2)
    assert jobs(desk, LISTING) == []
    crawling.tick(desk, NOW + HOUR)
    assert [job.arguments["full"] for job in jobs(desk, LISTING)] == [False]
    crawling.tick(desk, NOW + HOUR)
    assert len(jobs(desk, LISTING)) == 1


def _end_listing_jobs(desk: Desk, now: datetime.datetime) -> None:
    desk.jobs.end(
        [
            Ending(lease=lease, state=JobState.DONE)
            for lease in desk.jobs.lease("w", 60, now, count=10, tasks=[LISTING])
        ],
        now,
    )


# Requests to add a forge


def asked(desk: Desk, url: str, kind: str = "fake") -> ForgeRequest:
    """A request that moderators have accepted."""
    made = desks.propose(desk, url, kind)
    for status in (ForgeStatus.WAITING_FOR_FEEDBACK, ForgeStatus.ACCEPTED):
        assert move(desk, made.id, status) is not None
    return made


def move(desk: Desk, id: int, status: ForgeStatus) -> ForgeRequest | None:
    return desk.requests.forge_requests.update(
        id, expected=None, status=status, actor="mod", role=ActorRole.MODERATOR, text="", date=NOW
    )


def now_is(desk: Desk, request: ForgeRequest) -> ForgeStatus:
    found = desk.requests.forge_requests.get(request.id)
    assert found is not None
    return found.status


@pytest.fixture
def public_forge(tmp_path: Path, forge: FakeForge) -> Iterator[Callable[[], Desk]]:
    """The desk of a configuration that lets strangers name private addresses: tests have no others."""
    with fake_forge.desk(tmp_path, NO_JITTER + "network: {private_addresses: always}\n") as opened:
        yield lambda: opened


def test_an_accepted_request_lives_its_life(public_forge: Callable[[], Desk], forge: FakeForge) -> None:
    desk = public_forge()
    forge.has("a", "b")
    request = asked(desk, f"{forge.url}/", kind="Fake")
    crawling.tick(desk, NOW)
    assert now_is(desk, request) is ForgeStatus.SCHEDULED
    (found,) = desk.requests.schedule.forges()
    assert (found.kind, found.url, found.source, found.trusted) == ("fake", forge.url, ToldBy.REQUEST, False)
    assert found.due == NOW + DAY
    (job,) = jobs(desk, LISTING)
    assert (job.priority, job.arguments["full"]) == (ASKED, True)
    crawling.tick(desk, NOW)
    assert now_is(desk, request) is ForgeStatus.SCHEDULED, "nothing was listed yet"
    forge.trouble[1] = (404, {})
    crawl(desk, found.id, True, NOW)
    crawling.tick(desk, NOW)
    assert now_is(desk, request) is ForgeStatus.SCHEDULED, "a failed listing is none"
    forge.trouble.clear()
    ok(crawl(desk, found.id, True, NOW))
    crawling.tick(desk, NOW)
    assert now_is(desk, request) is ForgeStatus.FIRST_LISTING_DONE
    do_all(desk, NOW, VisitStatus.FAILED)
    crawling.tick(desk, NOW)
    assert now_is(desk, request) is ForgeStatus.FIRST_LISTING_DONE, "a failed visit loads nothing"
    visit(desk, origin("b"), NOW + HOUR, VisitStatus.PARTIAL)
    freshness.visited(desk, origin("b"), "git", NOW + HOUR)
    crawling.tick(desk, NOW + HOUR)
    assert now_is(desk, request) is ForgeStatus.FIRST_ORIGIN_LOADED
    lines = desk.requests.forge_requests.history(request.id)[3:]
    assert [(line.actor, line.role, line.status) for line in lines] == [
        ("swhkit", ActorRole.MODERATOR, ForgeStatus.SCHEDULED),
        ("swhkit", ActorRole.MODERATOR, ForgeStatus.FIRST_LISTING_DONE),
        ("swhkit", ActorRole.MODERATOR, ForgeStatus.FIRST_ORIGIN_LOADED),
    ]
    assert all(line.text for line in lines)
    crawling.tick(desk, NOW + HOUR)
    assert len(desk.requests.forge_requests.history(request.id)) == 6


@pytest.mark.parametrize(
    ("kind", "url", "reason"),
    [
        ("bugzilla", "https://forge.example.org", "no forge named 'bugzilla'"),
        ("fake", "http://127.0.0.1:9/", "127.0.0.1"),
        ("fake", "https://ada:pw@forge.example.org", "expected a URL"),
        ("fake", "ftp://forge.example.org", "expected a URL"),
    ],
)
def test_a_request_that_cannot_be_listed_is_unsuccessful(
    desk: Desk, kind: str, url: str, reason: str
) -> None:
    request = asked(desk, url, kind)
    crawling.tick(desk, NOW)
    assert now_is(desk, request) is ForgeStatus.UNSUCCESSFUL
    line = desk.requests.forge_requests.history(request.id)[-1]
    assert reason in line.text
    assert "pw@" not in line.text
    assert desk.requests.schedule.forges() == []
    assert move(desk, request.id, ForgeStatus.ACCEPTED) is not None, "a moderator may try again"


def test_a_request_for_a_known_forge_changes_nothing_of_it(desk: Desk) -> None:
    url = "https://forge.example.org"
    found = known(desk, url, every=7200.0)
    request = asked(desk, url)
    crawling.tick(desk, NOW)
    assert now_is(desk, request) is ForgeStatus.SCHEDULED
    after = desk.requests.schedule.forge(found.id)
    assert after is not None
    assert (after.every, after.source, after.trusted) == (7200, ToldBy.CLI, True)
    assert len(jobs(desk, LISTING)) == 1


def test_a_large_forge_is_looked_through_in_turns(public_forge: Callable[[], Desk], forge: FakeForge) -> None:
    desk = public_forge()
    forge.page_size = 1000
    forge.has(*(f"r{number:03}" for number in range(450)))
    request = asked(desk, forge.url)
    crawling.tick(desk, NOW)
    ok(crawl(desk, 1, True, NOW))
    visit(desk, origin("r444"), NOW, VisitStatus.FULL)
    freshness.visited(desk, origin("r444"), "git", NOW)
    statuses = []
    for _ in range(4):
        crawling.tick(desk, NOW)
        statuses.append(now_is(desk, request))
    assert statuses[0] is ForgeStatus.FIRST_LISTING_DONE
    assert statuses[-1] is ForgeStatus.FIRST_ORIGIN_LOADED


def test_which_status_may_follow_which() -> None:
    table = """
        PENDING: WAITING_FOR_FEEDBACK REJECTED SUSPENDED
        WAITING_FOR_FEEDBACK: FEEDBACK_TO_HANDLE ACCEPTED REJECTED SUSPENDED UNSUCCESSFUL
        FEEDBACK_TO_HANDLE: WAITING_FOR_FEEDBACK ACCEPTED REJECTED SUSPENDED UNSUCCESSFUL
        ACCEPTED: SCHEDULED REJECTED UNSUCCESSFUL
        SCHEDULED: FIRST_LISTING_DONE FIRST_ORIGIN_LOADED
        FIRST_LISTING_DONE: FIRST_ORIGIN_LOADED
        SUSPENDED: PENDING
        UNSUCCESSFUL: ACCEPTED
        FIRST_ORIGIN_LOADED:
        REJECTED:
    """
    lines = (line.split(":") for line in table.split("\n") if ":" in line)
    assert {
        ForgeStatus(a.strip()): {ForgeStatus(b) for b in more.split()} for a, more in lines
    } == TRANSITIONS
