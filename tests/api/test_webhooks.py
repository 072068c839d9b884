"""Deliveries of webhooks over HTTP: each message, signatures, replays, sizes, and what a visit is asked for."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import desks
import pytest
from net_servers import answering, bait, raw_server, read_head
from reading_samples import Sample
from webhook_samples import HEADERS, SECRET, body

from swhkit import config
from swhkit.desk import Desk, open_desk
from swhkit.requests.saves import SaveStatus
from swhkit.testing.webhooks import BODIES
from swhkit.webhook import lookups

LABELS = {
    "bitbucket": "Bitbucket",
    "forgejo": "Forgejo",
    "gitea": "Gitea",
    "github": "GitHub",
    "gitlab": "GitLab",
    "gogs": "Gogs",
    "sourceforge": "SourceForge",
}
FORGES = list(LABELS)
#: Those that say all in their payload.
TELLING = [name for name in FORGES if name != "sourceforge"]
URL = "https://forge.example.org/u/p.git"
PAGE = URL.removesuffix(".git")
#: For each of them a payload with a public repository at ``URL``, one with a private one, one that lacks the URL.
PAYLOADS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "bitbucket": (
        {"links": {"html": {"href": PAGE}}, "is_private": False},
        {"links": {"html": {"href": PAGE}}, "is_private": True},
        {"links": {"html": {}}, "is_private": False},
    ),
    "github": ({"html_url": URL, "private": False}, {"html_url": URL, "private": True}, {"clone_url": URL}),
    "gitlab": (
        {"git_http_url": URL, "visibility_level": 20},
        {"git_http_url": URL, "visibility_level": 10},
        {"git_ssh_url": "git@forge.example.org:u/p.git"},
    ),
    **dict.fromkeys(
        ("forgejo", "gitea", "gogs"),
        ({"clone_url": URL, "private": False}, {"clone_url": URL, "private": True}, {"html_url": PAGE}),
    ),
}
EVENTS = {
    "bitbucket": "x-event-key",
    "forgejo": "x-forgejo-event",
    "gitea": "x-gitea-event",
    "github": "x-github-event",
    "gitlab": "x-gitlab-event",
    "gogs": "x-gogs-event",
}
PROOFS = {
    "bitbucket": ("x-hub-signature", "sha256="),
    "forgejo": ("x-forgejo-signature", ""),
    "gitea": ("x-gitea-signature", ""),
    "github": ("x-hub-signature-256", "sha256="),
    "gogs": ("x-gogs-signature", ""),
}
KEYS = [
    *("id", "request_url", "origin_url", "visit_type", "save_request_date", "save_request_status"),
    *("save_task_status", "save_task_next_run"),
]
#: Settings of archives that want no review; stores in memory.
ACCEPTING = desks.IN_MEMORY + "save_code_now: {otherwise: accepted}\n"
Taking = Callable[..., AbstractAsyncContextManager[tuple[Any, Desk]]]


@pytest.fixture
def taking(tmp_path: Path, serving: Any) -> Iterator[Taking]:
    """``async with taking(settings) as (api, desk)``: a server that takes deliveries."""
    with ExitStack() as stack:

        @asynccontextmanager
        async def opened(settings: str = ACCEPTING) -> AsyncIterator[tuple[Any, Desk]]:
            sample = Sample()
            desk = stack.enter_context(desks.desk(sample.archive, tmp_path, settings))
            async with serving(sample, desk=desk) as api:
                yield api, desk

        yield opened


def payload(repository: Any) -> bytes:
    return json.dumps({"ref": "refs/heads/main", "repository": repository}).encode()


def push(forge: str) -> bytes:
    """A push to a public repository."""
    return payload(PAYLOADS[forge][0])


async def posted(
    api: Any, forge: str, data: bytes, headers: Any = None, status: int = 200, **changed: str | None
) -> Any:
    """The answer to a delivery; ``changed`` headers have ``_`` for ``-``, None leaves one out."""
    given = dict(HEADERS[forge] if headers is None else headers)
    for name, value in changed.items():
        given[name.replace("_", "-")] = value
    given = {name: value for name, value in given.items() if value is not None}
    skipped = [] if "content-type" in given else ["Content-Type"]
    answer = await api.post(
        f"origin/save/webhook/{forge}/", data=data, headers=given, skip_auto_headers=skipped
    )
    assert answer.status == status, await answer.text()
    assert answer.headers["Content-Type"] == "application/json"
    return await answer.json()


async def refused(
    api: Any, forge: str, data: bytes, text: str, name: str = "BadInputExc", status: int = 400, **changed: Any
) -> None:
    """A delivery is refused with this text."""
    told = await posted(api, forge, data, status=status, **changed)
    assert told == {"exception": name, "reason": text}


@pytest.mark.parametrize("forge", TELLING)
async def test_a_push_asks_for_a_visit(taking: Taking, forge: str) -> None:
    async with taking() as (api, desk):
        before = datetime.datetime.now(datetime.UTC)
        told = await posted(api, forge, push(forge))
        assert list(told) == KEYS
        assert told["origin_url"] == URL
        assert told["visit_type"] == "git"
        assert told["save_request_status"] == "accepted"
        assert told["save_task_status"] == "pending"
        for key in ("save_request_date", "save_task_next_run"):
            moment = datetime.datetime.fromisoformat(told[key])
            assert before <= moment <= datetime.datetime.now(datetime.UTC)
            assert told[key].endswith("+00:00")
        (request,) = desk.requests.saves.of(URL)
        assert (request.id, request.webhook, request.trusted, request.user) == (
            told["id"],
            forge,
            False,
            None,
        )
        (job,) = desk.jobs.latest()
        assert job.id == request.job
        assert job.arguments["url"] == URL
        assert not job.arguments["trusted"]
        assert told["request_url"] == f"{api.base}origin/save/{request.id}/"
        shown = await api.json(f"origin/save/{request.id}/")
        assert (shown["from_webhook"], shown["webhook_origin"]) == (True, forge)
        assert {key: shown[key] for key in KEYS[:-1]} == {key: told[key] for key in KEYS[:-1]}


@pytest.mark.parametrize("forge", TELLING)
async def test_what_waits_for_review_has_no_next_run(taking: Taking, forge: str) -> None:
    async with taking(desks.IN_MEMORY) as (api, desk):
        told = await posted(api, forge, push(forge))
        assert list(told) == KEYS
        assert told["save_request_status"] == "pending"
        assert told["save_task_status"] == "not created"
        assert told["save_task_next_run"] is None
        assert desk.jobs.latest() == []
        (request,) = desk.requests.saves.latest(SaveStatus.PENDING)
        assert (request.id, request.webhook) == (told["id"], forge)


async def test_a_repository_that_is_not_wanted(taking: Taking) -> None:
    settings = desks.IN_MEMORY + f'save_code_now: {{accept: ["https://"], reject: ["{PAGE}"]}}\n'
    text = 'The "save code now" request has been rejected because the provided origin url is not allowed to be archived.'
    async with taking(settings) as (api, desk):
        for _ in range(2):
            await refused(api, "github", push("github"), text, "ForbiddenExc", 403)
        assert desk.jobs.latest() == []


@pytest.mark.parametrize("forge", FORGES)
async def test_what_another_program_sends(taking: Taking, forge: str) -> None:
    text = f"POST request was not sent by a {LABELS[forge]} webhook and has not been processed."
    async with taking() as (api, _):
        strangers = [{}, {"user-agent": "curl/8.5.0"}, *(HEADERS[name] for name in FORGES if name != forge)]
        for headers in strangers:
            if EVENTS.get(forge, "-") not in headers or forge in ("bitbucket", "github", "gitlab"):
                for data in (b"", b"{", push("github")):
                    await refused(api, forge, data, text, headers=headers)
        if forge in EVENTS:
            lacking = {key: value for key, value in HEADERS[forge].items() if key != EVENTS[forge]}
            await refused(api, forge, b"{}", text, headers=lacking)
        if forge in ("bitbucket", "github", "gitlab", "sourceforge"):
            await refused(api, forge, b"{}", text, user_agent=f"not {HEADERS[forge]['user-agent']}")


async def test_a_ping(taking: Taking) -> None:
    async with taking() as (api, desk):
        for number in range(4):
            data = body(f"github/ping-{number}")
            assert await posted(api, "github", data, x_github_event="ping") == {"message": "pong"}
        assert await posted(api, "github", b"no JSON", x_github_event="ping") == {"message": "pong"}
        assert desk.requests.saves.latest() == []
        # It has no answer that would be given to the push which follows.
        assert "id" in await posted(api, "github", push("github"))


@pytest.mark.parametrize("forge", TELLING)
async def test_other_events(taking: Taking, forge: str) -> None:
    text = f"Event sent by {LABELS[forge]} webhook is not a push one, request has not been processed."
    async with taking() as (api, _):
        for event in ("issues", "Issue Hook", "pullrequest:created", "pushed", "PUSH", ""):
            headers = {**HEADERS[forge], EVENTS[forge]: event, "content-type": "text/plain"}
            for data in (b"", push(forge)):
                await refused(api, forge, data, text, headers=headers)


@pytest.mark.parametrize("forge", FORGES)
async def test_other_content_types(taking: Taking, forge: str) -> None:
    async with taking() as (api, _):
        for type in ("application/x-www-form-urlencoded", "text/plain", "application/json5", None):
            text = (
                f"Invalid content type '{type or ''}' for the POST request sent by {LABELS[forge]} webhook, "
                "it should be 'application/json'."
            )
            await refused(api, forge, b"{", text, content_type=type)


@pytest.mark.parametrize("forge", FORGES)
async def test_a_payload_without_a_url(taking: Taking, forge: str) -> None:
    text = f"Repository URL could not be extracted from {LABELS[forge]} webhook payload."
    lacking = [PAYLOADS[forge][2]] if forge in PAYLOADS else []
    async with taking() as (api, _):
        for data in (b"{}", b"[]", b"null", b'"x"', b"1", *map(payload, [*lacking, None, [], "x", {}])):
            await refused(api, forge, data, text)


@pytest.mark.parametrize("forge", TELLING)
async def test_a_private_repository(taking: Taking, forge: str) -> None:
    text = f"Repository {URL} is private and cannot be cloned without authentication."
    async with taking() as (api, desk):
        await refused(api, forge, payload(PAYLOADS[forge][1]), text)
        assert desk.requests.saves.latest() == []


@pytest.mark.parametrize("forge", FORGES)
async def test_whatever_is_sent_is_no_fault_of_ours(taking: Taking, forge: str) -> None:
    async with taking() as (api, desk):
        for data in (*BODIES, push("github").decode().encode("utf-16"), push("github")[:-1]):
            told = await posted(api, forge, data, status=400)
            assert told["exception"] in ("ParseError", "BadInputExc")
        await refused(api, forge, b"{", "JSON parse error - Expecting property name enclosed in double quotes: "
                      "line 1 column 2 (char 1)", "ParseError")  # fmt: skip
        await refused(api, forge, b"[" * 100_000, "JSON parse error - it is nested too deeply", "ParseError")
        assert desk.requests.saves.latest() == []


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/x.git", "http://[::1]/x", "http://localhost./x", "http://169.254.169.254/latest"),
        *("http://2130706433/x", "http://10.0.0.1/x", "http://192.168.1.1/x.git", "https://good@127.0.0.1/x"),
        *("ext::sh -c touch% X", "fd::17", "file:///etc", "/etc/passwd", "-u./x", "--upload-pack=touch X"),
        *("ssh://-oProxyCommand=x/y", "git@-oX:y", "https://forge.example.org/a\nb", "https://x/\u0000"),
        *("javascript:alert(1)", "https://", "x" * 5000, "https://forge.example.org/" + "x" * 100_000),
    ],
)
async def test_addresses_that_nobody_may_ask_for(taking: Taking, url: str) -> None:
    async with taking() as (api, desk):
        told = await posted(api, "gitea", payload({"clone_url": url}), status=400)
        assert told["exception"] == "BadInputExc"
        assert len(told["reason"]) < 6000
        assert desk.requests.saves.latest() == []
        assert desk.jobs.latest() == []


async def test_a_password_in_an_address(taking: Taking) -> None:
    async with taking() as (api, _):
        secret = payload({"clone_url": "https://ada:hunter2@forge.example.org/x"})
        told = await posted(api, "gitea", secret, status=400)
        assert told["reason"].startswith("The provided origin URL contains a password")
        hidden = payload({"clone_url": "https://ada:hunter2@forge.example.org/x", "private": True})
        told = await posted(api, "gitea", hidden, status=400)
        assert "hunter2" not in told["reason"]


def proven(forge: str, data: bytes) -> dict[str, str]:
    """The headers of a push with their proof."""
    if forge == "gitlab":
        return {**HEADERS[forge], "x-gitlab-token": SECRET}
    name, prefix = PROOFS[forge]
    return {**HEADERS[forge], name: prefix + hmac.new(SECRET.encode(), data, hashlib.sha256).hexdigest()}


@pytest.mark.parametrize("forge", TELLING)
async def test_with_a_secret_only_proven_deliveries_are_taken(taking: Taking, forge: str) -> None:
    text = f"The delivery does not prove that its sender knows the secret of the {LABELS[forge]} webhook."
    async with taking(ACCEPTING + f'webhooks: {{{forge}: {{secret: "{SECRET}"}}}}\n') as (api, desk):
        data = push(forge)
        good = proven(forge, data)
        name = next(key for key in good if key not in HEADERS[forge])
        sha1 = hmac.new(SECRET.encode(), data, hashlib.sha1).hexdigest()
        wrong = [
            "",
            "abc",
            "sha256=",
            "sha1=",
            good[name][:-1],
            good[name] + "0",
            good[name][:7],
            "é" * 32,
            "x" * 3000,
        ]
        for value in (*wrong, f"sha1={sha1}", sha1, f"{good[name]}, {good[name]}"):
            headers = {**good, name: value}
            for sent in (data, b"{", b"[" * 100_000):
                await refused(api, forge, sent, text, "ForbiddenExc", 403, headers=headers)
        doubled = [*good.items(), (name, good[name])]
        answer = await api.post(f"origin/save/webhook/{forge}/", data=data, headers=doubled)
        assert answer.status == 403
        await refused(api, forge, data, text, "ForbiddenExc", 403)
        await refused(api, forge, data, text, "ForbiddenExc", 403, x_hub_signature=f"sha1={sha1}")
        if forge != "gitlab":
            await refused(api, forge, data + b" ", text, "ForbiddenExc", 403, headers=good)
        assert desk.requests.saves.latest() == []
        assert (await posted(api, forge, data, good))["origin_url"] == URL


async def test_a_secret_is_of_one_forge(taking: Taking) -> None:
    async with taking(ACCEPTING + f'webhooks: {{github: {{secret: "{SECRET}"}}}}\n') as (api, _):
        assert "id" in await posted(api, "gitea", push("gitea"))


async def test_sourceforge_has_but_sha_1(taking: Taking) -> None:
    text = "The delivery does not prove that its sender knows the secret of the SourceForge webhook."
    with answering(http(project())) as (port, asked):
        settings = (
            f'webhooks: {{sourceforge: {{secret: "{SECRET}", rest: "http://127.0.0.1:{port}/rest"}}}}\n'
        )
        async with taking(ACCEPTING + "network: {private_addresses: always}\n" + settings) as (api, _):
            data = body("sourceforge/push")
            proof = hmac.new(SECRET.encode(), data, hashlib.sha1).hexdigest()
            for value in ("", proof, f"sha1={proof[:-1]}", f"sha256={proof}"):
                await refused(api, "sourceforge", data, text, "ForbiddenExc", 403, x_allura_signature=value)
            assert asked == []
            assert "id" in await posted(api, "sourceforge", data, x_allura_signature=f"sha1={proof}")


@pytest.mark.parametrize("forge", TELLING)
async def test_a_delivery_that_comes_again_gets_its_first_answer(taking: Taking, forge: str) -> None:
    async with taking() as (api, desk):
        first = await posted(api, forge, push(forge))
        other = push(forge).replace(b"/u/p", b"/u/q")
        for data in (push(forge), other, b"{"):
            assert await posted(api, forge, data) == first
        assert len(desk.requests.saves.latest()) == 1
        ids = [
            name for name in HEADERS[forge] if "delivery" in name or "uuid" in name or "idempotency" in name
        ]
        fresh = {**HEADERS[forge], **dict.fromkeys(ids, "another")}
        second = await posted(api, forge, other, fresh)
        assert second["id"] != first["id"]
        assert second["origin_url"] != first["origin_url"]


async def test_an_id_is_believed_per_forge_and_behind_its_headers(taking: Taking) -> None:
    async with taking() as (api, _):
        headers = {
            **HEADERS["gitea"],
            "x-gogs-event": "push",
            "x-gogs-delivery": "one",
            "x-gitea-delivery": "one",
        }
        first = await posted(api, "gitea", push("gitea"), headers)
        other = push("gitea").replace(b"/u/p", b"/u/q")
        assert (await posted(api, "gogs", other, headers))["id"] != first["id"]
        text = "POST request was not sent by a Gitea webhook and has not been processed."
        await refused(api, "gitea", other, text, headers={"x-gitea-delivery": "one"})


async def test_a_refusal_is_no_answer_to_keep(taking: Taking) -> None:
    async with taking() as (api, _):
        await posted(api, "github", payload({"html_url": URL, "private": True}), status=400)
        await posted(api, "github", b"{", status=400)
        assert (await posted(api, "github", push("github")))["origin_url"] == URL


async def test_with_a_secret_a_known_id_is_no_proof(taking: Taking) -> None:
    async with taking(ACCEPTING + f'webhooks: {{github: {{secret: "{SECRET}"}}}}\n') as (api, _):
        await posted(api, "github", push("github"), proven("github", push("github")))
        await posted(api, "github", push("github"), status=403)


async def test_the_same_delivery_many_times_at_once(taking: Taking) -> None:
    async with taking() as (api, desk):
        found = await asyncio.gather(*(posted(api, "github", push("github")) for _ in range(20)))
        assert all(one == found[0] for one in found)
        assert len(desk.requests.saves.latest()) == 1


async def test_pushes_within_an_hour(taking: Taking) -> None:
    async with taking() as (api, desk):

        async def pushed(delivery: str) -> Any:
            return await posted(api, "github", push("github"), x_github_delivery=delivery)

        first = await pushed("1")
        lease = desk.jobs.lease("w", 60, datetime.datetime.now(datetime.UTC))
        assert [one.job.arguments["url"] for one in lease] == [URL]
        second, third = await pushed("2"), await pushed("3")
        began, due = (
            datetime.datetime.fromisoformat(text)
            for text in (first["save_request_date"], second["save_task_next_run"])
        )
        assert due - began == datetime.timedelta(hours=1)
        assert first["id"] != second["id"]
        assert third == second


async def test_bodies_have_an_end(taking: Taking) -> None:
    async with taking() as (api, _):
        large = b'{"x": "' + b"x" * (10 << 20) + b'"}'
        text = "The maximum size of a request body is 10485760 bytes"
        await refused(api, "github", large, text, "LargePayloadExc", 413)

        async def dribbled() -> AsyncIterator[bytes]:
            for _ in range(11):
                yield b" " * (1 << 20)

        answer = await api.post("origin/save/webhook/github/", data=dribbled(), headers=HEADERS["github"])
        assert answer.status == 413
        assert await answer.json() == {"exception": "LargePayloadExc", "reason": text}
        padded = push("github") + b" " * ((10 << 20) - len(push("github")))
        assert (await posted(api, "github", padded))["origin_url"] == URL


async def test_a_packed_body_is_not_unpacked(taking: Taking) -> None:
    async with taking() as (api, _):
        await posted(api, "github", push("github"), status=415, content_encoding="gzip")


@pytest.mark.parametrize("name", ["nope", "github2", "GitHub"])
async def test_a_webhook_that_nobody_provides(taking: Taking, name: str) -> None:
    async with taking() as (api, _):
        answer = await api.post(f"origin/save/webhook/{name}/", data=b"{}", headers=HEADERS["github"])
        assert answer.status == 404
        resource = f"/api/1/origin/save/webhook/{name}/"
        assert await answer.json() == {
            "error": "Resource not found",
            "reason": f"The resource {resource} could not be found on the server.",
        }


async def test_methods_and_slashes(taking: Taking) -> None:
    async with taking() as (api, _):
        assert (await api.get("origin/save/webhook/github/")).status == 405
        answer = await api.post("origin/save/webhook/github", data=push("github"), headers=HEADERS["github"])
        assert answer.status == 200
        assert "no-store" in answer.headers["Cache-Control"]


async def test_an_archive_that_takes_no_requests(serving: Any, sample: Sample) -> None:
    async with serving(sample, desk=None) as api:
        await posted(api, "github", push("github"), status=403)


REAL = [
    *(
        ("github", f"github/push-{number}", "https://github.com/Codertocat/Hello-World")
        for number in range(7)
    ),
    ("gitea", "gitea/push-event", "http://localhost:3000/example/example.git"),
    ("gogs", "gogs/push-event", "http://localhost:3000/unknwon/webhooks.git"),
]


@pytest.mark.parametrize(("forge", "name", "url"), REAL)
async def test_real_payloads(taking: Taking, forge: str, name: str, url: str) -> None:
    async with taking(ACCEPTING + "network: {private_addresses: always}\n") as (api, desk):
        told = await posted(api, forge, body(name))
        assert told["origin_url"] == url
        assert [one.arguments["url"] for one in desk.jobs.latest()] == [url]


@pytest.mark.parametrize(
    ("forge", "name", "url"),
    [
        ("gitea", "gitea/push", "http://try.gitea.io/gogits/hello-world.git"),
        ("gitlab", "gitlab/push", "https://gitlab.com/gitlab-org/hello-world.git"),
        ("bitbucket", "bitbucket/push", "https://bitbucket.org/brydzewski/foo.git"),
    ],
)
async def test_real_private_payloads(taking: Taking, forge: str, name: str, url: str) -> None:
    async with taking() as (api, _):
        await refused(
            api,
            forge,
            body(name),
            f"Repository {url} is private and cannot be cloned without authentication.",
        )


def project(**tool: Any) -> bytes:
    """What SourceForge's REST API says of a project; ``tool`` changes what it says of its code."""
    answer = json.loads(body("sourceforge/project"))
    answer["tools"][-1].update(tool)
    return json.dumps(answer).encode()


def http(data: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data


@asynccontextmanager
async def sourceforge(taking: Taking, reply: bytes) -> AsyncIterator[tuple[Any, list[bytes]]]:
    """A server that takes deliveries, and the requests to a REST API on a port of this machine."""
    with answering(reply) as (port, asked):
        settings = f'webhooks: {{sourceforge: {{rest: "http://127.0.0.1:{port}/rest"}}}}\n'
        async with taking(ACCEPTING + "network: {private_addresses: always}\n" + settings) as (api, _):
            yield api, asked


@pytest.mark.parametrize("type", ["git", "hg", "svn"])
async def test_sourceforge_is_asked(taking: Taking, type: str) -> None:
    async with sourceforge(taking, http(project(name=type))) as (api, asked):
        told = await posted(api, "sourceforge", body("sourceforge/push"))
        assert told["origin_url"] == "https://git.code.sf.net/p/example/code"
        assert told["visit_type"] == type
        (request,) = asked
        assert request.startswith(b"GET /rest/p/example HTTP/1.1\r\n")
        # It has no ids of deliveries: each is a push of its own.
        again = await posted(api, "sourceforge", body("sourceforge/push"))
        assert len(asked) == 2
        assert again["id"] != told["id"]


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (http(project(name="")), "Visit type could not be determined for repository https://git.code.sf.net/p/example/code."),
        (
            http(body("sourceforge/project").replace(b'"private": false', b'"private": true')),
            "Repository https://git.code.sf.net/p/example/code is private and cannot be cloned without authentication.",
        ),
        (
            http(project(name="wiki")),
            "Visit of type wiki cannot be saved! Allowed types are the following: bzr, cvs, git, hg, svn, tarball",
        ),
    ],
)  # fmt: skip
async def test_what_sourceforge_may_say(taking: Taking, reply: bytes, text: str) -> None:
    async with sourceforge(taking, reply) as (api, _):
        await refused(api, "sourceforge", body("sourceforge/push"), text)


@pytest.mark.parametrize(
    "reply",
    [
        *(b"", b"nonsense\r\n\r\n", http(b""), http(b"[" * 100_000), http(b"{"), http(b"null"), http(b"[]")),
        *(http(b"{}", "404 Not Found"), http(b"{}", "500 Oops"), http(b"{}", "503 Busy")),
        *(http(b" " * (1 << 20) + b"{}"), http(b'{"tools": 5}'), http(b'{"tools": [5, null]}')),
    ],
    ids=lambda reply: repr(reply[:40]),
)
async def test_what_sourceforge_may_not_say(taking: Taking, reply: bytes) -> None:
    text = "Repository URL could not be extracted from SourceForge webhook payload."
    async with sourceforge(taking, reply) as (api, _):
        await refused(api, "sourceforge", body("sourceforge/push"), text)


async def test_few_look_ups_are_under_way_at_a_time(taking: Taking) -> None:
    asked, go_on = threading.Semaphore(0), threading.Event()

    def handle(connection: socket.socket) -> None:
        read_head(connection)
        asked.release()
        go_on.wait(30)
        connection.sendall(http(project()))

    with raw_server(handle) as server:
        settings = f'webhooks: {{sourceforge: {{rest: "http://127.0.0.1:{server.port}/rest"}}}}\n'
        async with taking(ACCEPTING + "network: {private_addresses: always}\n" + settings) as (api, _):
            data = body("sourceforge/push")
            held = [asyncio.create_task(posted(api, "sourceforge", data)) for _ in range(lookups.AT_ONCE)]
            for _ in held:
                assert await asyncio.to_thread(asked.acquire, timeout=30)
            told = await posted(api, "sourceforge", data, status=503)
            assert told["reason"].endswith("deliver this one again later.")
            assert "id" in await posted(api, "github", push("github"))
            go_on.set()
            assert all("id" in one for one in await asyncio.gather(*held))
            assert "id" in await posted(api, "sourceforge", data)


async def test_a_look_up_has_an_end(taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "SECONDS", 0.3)
    text = "Repository URL could not be extracted from SourceForge webhook payload."
    with raw_server(lambda connection: connection.recv(1 << 16) and connection.recv(1 << 16)) as server:
        settings = f'webhooks: {{sourceforge: {{rest: "http://127.0.0.1:{server.port}/rest"}}}}\n'
        async with taking(ACCEPTING + "network: {private_addresses: always}\n" + settings) as (api, _):
            await refused(api, "sourceforge", body("sourceforge/push"), text)


async def test_sourceforge_leads_nowhere_that_is_private(taking: Taking) -> None:
    text = "Repository URL could not be extracted from SourceForge webhook payload."
    with bait() as port:
        settings = f'webhooks: {{sourceforge: {{rest: "http://127.0.0.1:{port}/rest"}}}}\n'
        async with taking(ACCEPTING + settings) as (api, _):
            await refused(api, "sourceforge", body("sourceforge/push"), text)


async def test_a_plugin_of_somebody_else(serving: Any, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/several.py").write_text(SEVERAL)
    (tmp_path / "swhkit.yaml").write_text(ACCEPTING + "plugins_dir: plugins\n")
    sample = Sample()
    with closing(open_desk(sample.archive, config.load(tmp_path / "swhkit.yaml"))) as desk:
        async with serving(sample, desk=desk) as api:
            await tell_several(api, desk)


async def test_a_plugin_that_cannot_be_used(serving: Any, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/several.py").write_text(SEVERAL.replace('Several", W', 'Nobody", W'))
    (tmp_path / "swhkit.yaml").write_text(ACCEPTING + "plugins_dir: plugins\n")
    sample = Sample()
    with closing(open_desk(sample.archive, config.load(tmp_path / "swhkit.yaml"))) as desk:
        async with serving(sample, desk=desk) as api:
            told = await posted(api, "several", b"[]", {}, status=500)
            assert told["reason"] == "An internal error occurred; it has been logged."
            assert "id" in await posted(api, "github", push("github"))


async def tell_several(api: Any, desk: Desk) -> None:
    """The plugin ``SEVERAL`` gets deliveries."""
    data = json.dumps([URL, URL + "2"]).encode()
    told = await posted(api, "several", data, {"content-type": "text/plain"})
    assert [one["origin_url"] for one in told] == [URL, URL + "2"]
    assert await posted(api, "several", b"[]", {}) == []
    assert {one.webhook for one in desk.requests.saves.latest()} == {"several"}


#: A webhook without the help of ``PushWebhook``: it tells of several repositories at once, and has no ids.
SEVERAL = """
from swhkit.plugin import Provider, VisitRequest, WebhookConfig, decoded, hookimpl


class Several:
    label = "Several"

    def __init__(self, config):
        pass

    def delivery(self, headers):
        return None

    def signed(self, headers, body, secret):
        return False

    def parse(self, context, headers, body):
        return [VisitRequest(url, "git") for url in decoded(body)]


@hookimpl
def swhkit_webhooks():
    return [Provider("several", "lists of repositories", f"{__name__}:Several", WebhookConfig)]
"""
