"""How the archive keeps up, over HTTP: counts, forges with their listings, and how fresh an origin is."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from reading_samples import URL

from swhkit.desk import Desk
from swhkit.queueing import visit_job
from swhkit.requests.forges import NewForgeRequest
from swhkit.requests.schedule import Freshness, ListingStatus, NewForge, Seen, State, ToldBy

NOW = datetime.datetime(2030, 1, 10, 12, tzinfo=datetime.UTC)
FORGE = "https://git.example.org"


async def test_an_archive_that_nobody_has_asked_for_anything(api: Any, serving: Any, sample: Any) -> None:
    body = await api.json("swhkit/status/")
    assert body["jobs"] == {"queued": 0, "leased": 0, "done": 0, "failed": 0}
    assert set(body["add_forge_requests"].values()) == {0}
    assert body["origins"] == {"ok": 0, "stale": 0, "gone": 0, "failing": 0, "unknown": 0}
    assert body["forges"] == []
    async with serving(sample, desk=None) as other:
        assert await other.json("swhkit/status/") == body
        assert await other.json(f"swhkit/status/origin/?origin_url={URL}") == []


async def test_what_is_going_on(api: Any, desk: Desk) -> None:
    schedule = desk.requests.schedule
    forge = schedule.set_forge(
        NewForge(
            kind="gitea",
            url=FORGE,
            source=ToldBy.CLI,
            visit_every=3600.0,
            options={"token": "${GITEA_TOKEN}"},
        ),
        NOW,
    )
    body = await api.json("swhkit/status/")
    assert body["forges"][0]["latest_listing"] is None
    listing = schedule.begin_listing(forge.id, True, NOW)
    seen = [Seen(key=str(n), url=f"{FORGE}/{n}.git", visit_type="git") for n in range(3)]
    schedule.note_seen(listing.id, seen, NOW)
    schedule.end_listing(
        listing.id, ListingStatus.PARTIAL, NOW + datetime.timedelta(seconds=5), error="it went away"
    )
    desk.jobs.enqueue([visit_job(one.url, "git") for one in seen], NOW)
    schedule.set_freshness(
        [
            Freshness(url=seen[0].url, visit_type="git", state=State.OK),
            Freshness(url=seen[1].url, visit_type="git"),
        ]
    )
    desk.requests.forge_requests.add(
        NewForgeRequest(
            forge_type="gitea",
            forge_url=FORGE,
            contact_name="Grace",
            contact_email="g@example.org",
            submitter="ada",
            submitter_email="ada@example.org",
            date=NOW,
        )
    )
    text = await (await api.get("swhkit/status/")).text()
    assert "GITEA_TOKEN" not in text
    body = msgspec.json.decode(text)
    assert body["jobs"]["queued"] == 3
    assert body["origins"] == {"ok": 1, "stale": 0, "gone": 0, "failing": 0, "unknown": 1}
    assert {word: n for word, n in body["add_forge_requests"].items() if n} == {"PENDING": 1}
    assert body["forges"] == [
        {
            "id": forge.id,
            "kind": "gitea",
            "url": FORGE,
            "source": "cli",
            "enabled": True,
            "every": 86_400,
            "visit_every": 3600,
            "due": "2030-01-10T12:00:00+00:00",
            "last_listed": None,
            "last_listed_in_full": None,
            "origins": {"enabled": 3, "disabled": 0},
            "latest_listing": {
                "id": listing.id,
                "is_full": True,
                "started": "2030-01-10T12:00:00+00:00",
                "ended": "2030-01-10T12:00:05+00:00",
                "status": "partial",
                "repositories": 3,
                "new": 3,
                "lost": 0,
                "error": "it went away",
            },
        }
    ]


async def test_how_fresh_an_origin_is(api: Any, desk: Desk) -> None:
    url = f"{FORGE}/u/r?a=b"
    row = Freshness(
        url=url,
        visit_type="git",
        state=State.FAILING,
        since=NOW,
        visited=NOW,
        failures=2,
        reason="it answers 500",
        every=86_400.0,
        due=NOW + datetime.timedelta(days=1),
    )
    desk.requests.schedule.set_freshness(
        [
            row,
            Freshness(url=url, visit_type="svn"),
            Freshness(url=f"{url}c", visit_type="git", state=State.OK),
            Freshness(url=url[:-1], visit_type="git", state=State.OK),
        ]
    )
    desk.jobs.enqueue([visit_job(url, "git")], NOW)
    path = f"swhkit/status/origin/?origin_url={FORGE}/u/r%3Fa=b"
    body = await api.json(path)
    assert body[0] == {
        "origin_url": url,
        "visit_type": "git",
        "state": "failing",
        "since": "2030-01-10T12:00:00+00:00",
        "visited": "2030-01-10T12:00:00+00:00",
        "succeeded": None,
        "failures": 2,
        "reason": "it answers 500",
        "last_update": None,
        "every": 86_400,
        "due": "2030-01-11T12:00:00+00:00",
        "forge": None,
        "job": "queued",
    }
    assert [(one["visit_type"], one["state"], one["job"]) for one in body] == [
        ("git", "failing", "queued"),
        ("svn", "unknown", None),
    ]
    assert await api.json(path.replace("://", ":/")) == body


async def test_origins_that_nothing_is_known_of(api: Any) -> None:
    assert await api.json(f"swhkit/status/origin/?origin_url={URL}") == [], (
        "archived before anything was noted"
    )
    assert await api.not_found("swhkit/status/origin/?origin_url=https://x.org/r") == (
        "Origin with url https://x.org/r not found!"
    )
    reason = await api.refused("swhkit/status/origin/", 400, "ValidationError")
    assert reason == {"origin_url": ["This field is required."]}
