"""Requests to add a forge over HTTP: each answer, each refusal word for word, and two moderators at once."""

from __future__ import annotations

import asyncio
import datetime
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import desks
import pytest

from swhkit.desk import Desk
from swhkit.requests.forges import TRANSITIONS, ActorRole, ForgeRequest, ForgeStatus, NewForgeRequest

CREATE = "add-forge/request/create/"
FORGE = {
    "forge_type": "gitea",
    "forge_url": "https://git.example.org/",
    "forge_contact_email": "grace@git.example.org",
    "forge_contact_name": "Grace",
}
PUBLIC = ["id", "forge_url", "forge_type", "status", "submission_date"]
FULL = [
    "id", "inbound_email_address", "forge_domain", "status", "submission_date", "submitter_name", "submitter_email",
    "submitter_forward_username", "forge_type", "forge_url", "forge_contact_email", "forge_contact_name",
    "forge_contact_comment", "last_moderator", "last_modified_date",
]  # fmt: skip
Headers = dict[str, str]


@pytest.fixture
async def api(serving: Any, sample: Any, desk: Desk) -> Any:
    async with serving(sample, desk=desk, requests=lambda: desk.requests) as client:
        yield client


@pytest.fixture
def ada(desk: Desk) -> Headers:
    return desks.bearer(desk, "ada")


@pytest.fixture
def moderator(desk: Desk) -> Headers:
    return desks.bearer(desk, "mod", "swh.web.add_forge_now.moderator")


def at(desk: Desk, status: ForgeStatus, number: int = 0) -> int:
    """The number of a request that has come as far as this, by the shortest way."""
    ways: dict[ForgeStatus, list[ForgeStatus]] = {ForgeStatus.PENDING: []}
    while status not in ways:
        for known in list(ways):
            for following in sorted(TRANSITIONS[known]):
                ways.setdefault(following, [*ways[known], following])
    made = desk.requests.forge_requests.add(
        NewForgeRequest(
            forge_type="gitea",
            forge_url=f"https://git{number}.example.org",
            contact_name="Grace",
            contact_email="grace@git.example.org",
            submitter="ada",
            submitter_email="ada@example.org",
            date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        )
    )
    assert isinstance(made, ForgeRequest)
    for step in ways[status]:
        moved = desk.requests.forge_requests.update(
            made.id,
            expected=None,
            status=step,
            actor="mod",
            role=ActorRole.MODERATOR,
            text="",
            date=made.date,
        )
        assert moved is not None
    return made.id


async def text(answer: Any) -> tuple[int, str, str]:
    return answer.status, answer.headers["Content-Type"], await answer.text()


async def bad(answer: Any) -> Any:
    """The reason of a 400 in the normal shape."""
    assert answer.status == 400
    body = await answer.json()
    assert list(body) == ["exception", "reason"]
    assert body["exception"] == "BadInputExc"
    return body["reason"]


PLAIN = "text/plain; charset=utf-8"


async def test_a_forge_is_proposed(api: Any, desk: Desk, ada: Headers) -> None:
    before = datetime.datetime.now(datetime.UTC)
    answer = await api.post(
        CREATE,
        json={**FORGE, "forge_contact_comment": "hello", "submitter_forward_username": True},
        headers=ada,
    )
    assert answer.status == 201
    body = await answer.json()
    assert list(body) == FULL
    date = body.pop("submission_date")
    assert date.endswith("Z")
    assert before <= datetime.datetime.fromisoformat(date)
    assert body.pop("last_modified_date") == date
    inbound = body.pop("inbound_email_address")
    assert inbound.startswith("add-forge-now+1.")
    assert inbound.endswith("@localhost")
    assert body == {
        "id": 1,
        "forge_domain": "git.example.org",
        "status": "PENDING",
        "submitter_name": "ada",
        "submitter_email": "ada@example.org",
        "submitter_forward_username": True,
        "forge_type": "gitea",
        "forge_url": "https://git.example.org/",
        "forge_contact_email": "grace@git.example.org",
        "forge_contact_name": "Grace",
        "forge_contact_comment": "hello",
        "last_moderator": "None",
    }
    (line,) = desk.requests.forge_requests.history(1)
    assert (line.status, line.role, line.actor) == (ForgeStatus.PENDING, ActorRole.SUBMITTER, "ada")


async def test_a_form_does_as_well(api: Any, desk: Desk, ada: Headers) -> None:
    answer = await api.post(CREATE, data={**FORGE, "submitter_forward_username": "on"}, headers=ada)
    assert answer.status == 201
    assert (await answer.json())["submitter_forward_username"] is True
    found = desk.requests.forge_requests.get(1)
    assert found is not None
    assert (found.contact_comment, found.contact_name) == ("", "Grace")


async def test_a_forge_is_proposed_once(api: Any, ada: Headers, moderator: Headers) -> None:
    assert (await api.post(CREATE, json=FORGE, headers=ada)).status == 201
    answer = await api.post(CREATE, json={**FORGE, "forge_type": "gogs"}, headers=moderator)
    assert answer.status == 409
    assert answer.headers["Content-Type"] == "application/json"
    assert await answer.text() == '"Request for forge already exists (id 1)"'


async def test_nobody_proposes_a_forge_unknown(api: Any) -> None:
    for body in (FORGE, {}):
        told = await text(await api.post(CREATE, json=body))
        assert told == (403, PLAIN, "You must be authenticated to create a new add-forge request")


REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        (dict.fromkeys(FORGE), {name: ["This field may not be null."] for name in FORGE}),
        ({"forge_type": " "}, {"forge_type": BLANK}),
        ({"forge_type": 7}, {"forge_type": ["Not a valid string."]}),
        ({"forge_type": "x" * 51}, {"forge_type": ["Ensure this field has no more than 50 characters."]}),
        ({"forge_contact_name": "a\0b"}, {"forge_contact_name": ["Null characters are not allowed."]}),
        ({"forge_contact_email": "grace"}, {"forge_contact_email": ["Enter a valid email address."]}),
        ({"forge_contact_email": "g@x@y"}, {"forge_contact_email": ["Enter a valid email address."]}),
        (
            {"submitter_forward_username": "perhaps"},
            {"submitter_forward_username": ["Must be a valid boolean."]},
        ),
        *(
            ({"forge_url": url}, {"forge_url": ["Enter a valid URL."]})
            for url in (
                "git.example.org",
                "ftp://git.example.org",
                "https://",
                "https://ada:pw@git.example.org",
                "https://git.example.org/?a=b",
                "javascript:alert(1)",
                "https://git.example.org/a b",
                "https://[::1/",
            )
        ),
        (
            {"forge_contact_email": "x", "forge_url": "y", "forge_type": ""},
            {
                "forge_type": BLANK,
                "forge_url": ["Enter a valid URL."],
                "forge_contact_email": ["Enter a valid email address."],
            },
        ),
    ],
)
async def test_bad_fields_are_named(
    api: Any, desk: Desk, ada: Headers, changes: dict[str, object], problems: dict[str, list[str]]
) -> None:
    reason = await bad(await api.post(CREATE, json={**FORGE, **changes}, headers=ada))
    assert reason == json.dumps(problems)
    assert desk.requests.forge_requests.count() == 0


async def test_what_is_missing_is_named_in_order(api: Any, ada: Headers) -> None:
    reason = await bad(await api.post(CREATE, json={}, headers=ada))
    assert reason == json.dumps(dict.fromkeys(FORGE, REQUIRED))
    reason = await bad(await api.post(CREATE, json=[1], headers=ada))
    assert reason == '{"non_field_errors": ["Invalid data. Expected a dictionary."]}'


async def test_without_a_desk_nothing_is_taken_and_nothing_is_there(
    serving: Any, sample: Any, desk: Desk, moderator: Headers
) -> None:
    async with serving(sample, desk=None, requests=lambda: desk.requests) as api:
        answer = await api.post(CREATE, json=FORGE, headers=moderator)
        assert answer.status == 403
        assert "read-only" in (await answer.json())["reason"]
        assert (
            await api.post("add-forge/request/1/update/", json={"text": "x"}, headers=moderator)
        ).status == 403
        assert await api.json("add-forge/request/list/") == []
        assert await api.bad("add-forge/request/1/get/") == "Request id does not exist"


# Deciding


async def test_who_may_decide(api: Any, desk: Desk, ada: Headers) -> None:
    id = at(desk, ForgeStatus.PENDING)
    path = f"add-forge/request/{id}/update/"
    told = await text(await api.post(path, json={}))
    assert told == (403, PLAIN, "You must be authenticated to update a new add-forge request")
    told = await text(await api.post(path, json={}, headers=ada))
    assert told == (403, PLAIN, "You are not a moderator")
    staff = desks.bearer(desk, "boss", "staff")
    assert (await api.post(path, json={"text": "fine"}, headers=staff)).status == 200


async def test_a_request_that_is_not_there(api: Any, moderator: Headers) -> None:
    for id in ("1", "99999999999999999999999"):
        told = await text(await api.post(f"add-forge/request/{id}/update/", json={}, headers=moderator))
        assert told == (400, PLAIN, "Invalid request id")
        assert await api.bad(f"add-forge/request/{id}/get/") == "Request id does not exist"


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ({}, {"text": REQUIRED}),
        ({"text": " "}, {"text": BLANK}),
        ({"text": "x", "new_status": "ZZZ"}, {"new_status": ["Value 'ZZZ' is not a valid choice."]}),
        (
            {"new_status": "pending"},
            {"text": REQUIRED, "new_status": ["Value 'pending' is not a valid choice."]},
        ),
    ],
)
async def test_bad_decisions_are_named(
    api: Any, desk: Desk, moderator: Headers, body: dict[str, object], problems: dict[str, list[str]]
) -> None:
    id = at(desk, ForgeStatus.PENDING)
    reason = await bad(await api.post(f"add-forge/request/{id}/update/", json=body, headers=moderator))
    assert reason == json.dumps(problems)
    assert len(desk.requests.forge_requests.history(id)) == 1


async def test_a_remark_changes_no_status(api: Any, desk: Desk, moderator: Headers) -> None:
    id = at(desk, ForgeStatus.PENDING)
    answer = await api.post(f"add-forge/request/{id}/update/", json={"text": "well"}, headers=moderator)
    body = await answer.json()
    assert (answer.status, list(body)) == (200, FULL)
    assert (body["status"], body["last_moderator"]) == ("PENDING", "mod")
    assert body["last_modified_date"] > body["submission_date"]
    line = desk.requests.forge_requests.history(id)[-1]
    assert (line.text, line.status, line.actor, line.role) == ("well", None, "mod", ActorRole.MODERATOR)


@pytest.mark.parametrize("before", ForgeStatus)
async def test_every_transition(api: Any, desk: Desk, moderator: Headers, before: ForgeStatus) -> None:
    for number, after in enumerate(ForgeStatus):
        id = at(desk, before, number)
        answer = await api.post(
            f"add-forge/request/{id}/update/", json={"text": "x", "new_status": after}, headers=moderator
        )
        found = desk.requests.forge_requests.get(id)
        assert found is not None
        if after in TRANSITIONS[before]:
            assert answer.status == 200
            assert (await answer.json())["status"] == after
            assert found.status is after
        else:
            reason = (
                f"New request status RequestStatus.{after} cannot be reached from current status {before}"
            )
            assert await bad(answer) == reason
            assert found.status is before


async def test_of_two_who_decide_at_once_one_loses(
    api: Any, desk: Desk, moderator: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = at(desk, ForgeStatus.WAITING_FOR_FEEDBACK)
    both_have_looked = threading.Barrier(2, timeout=30)
    requests = desk.requests.forge_requests
    update: Callable[..., Any] = requests.update

    def late(*arguments: Any, **options: Any) -> Any:
        if options["expected"] is ForgeStatus.WAITING_FOR_FEEDBACK:
            both_have_looked.wait()
        return update(*arguments, **options)

    monkeypatch.setattr(type(requests), "update", lambda self, *a, **k: late(*a, **k))
    answers = await asyncio.gather(
        *(
            api.post(
                f"add-forge/request/{id}/update/", json={"text": "x", "new_status": status}, headers=moderator
            )
            for status in ("ACCEPTED", "SUSPENDED")
        )
    )
    assert sorted(answer.status for answer in answers) == [200, 400]
    (winner,) = [await answer.json() for answer in answers if answer.status == 200]
    (loser,) = [await bad(answer) for answer in answers if answer.status == 400]
    other = {"ACCEPTED": "SUSPENDED", "SUSPENDED": "ACCEPTED"}[winner["status"]]
    assert (
        loser
        == f"New request status RequestStatus.{other} cannot be reached from current status {winner['status']}"
    )
    assert [line.status for line in requests.history(id)][2:] == [winner["status"]]


# Reading


async def test_the_list_comes_in_pages(api: Any, desk: Desk, ada: Headers, moderator: Headers) -> None:
    for number in range(12):
        at(desk, ForgeStatus.PENDING, number)
    answer = await api.get("add-forge/request/list/")
    body = await answer.json()
    assert [row["id"] for row in body] == list(range(12, 2, -1))
    assert list(body[0]) == PUBLIC
    assert body[0] == {
        "id": 12,
        "forge_url": "https://git11.example.org",
        "forge_type": "gitea",
        "status": "PENDING",
        "submission_date": "2026-01-01T00:00:00Z",
    }
    assert answer.headers["Link"] == f'<{api.base}add-forge/request/list/?page=2>; rel="next"'
    answer = await api.get("add-forge/request/list/?page=2&per_page=5")
    assert [row["id"] for row in await answer.json()] == [7, 6, 5, 4, 3]
    assert answer.headers["Link"] == (
        f'<{api.base}add-forge/request/list/?page=3&per_page=5>; rel="next",'
        f'<{api.base}add-forge/request/list/?page=1&per_page=5>; rel="previous"'
    )
    answer = await api.get("add-forge/request/list/?page=99&per_page=5")
    assert await answer.json() == []
    assert answer.headers["Link"] == f'<{api.base}add-forge/request/list/?page=3&per_page=5>; rel="previous"'
    whole = await api.json("add-forge/request/list/?per_page=1001", headers=moderator)
    assert [len(whole), list(whole[0])] == [12, FULL]
    assert list((await api.json("add-forge/request/list/", headers=ada))[0]) == PUBLIC
    assert (await api.get("add-forge/request/list/?page=x")).status == 400


async def test_a_user_finds_the_own_requests(api: Any, desk: Desk, ada: Headers, moderator: Headers) -> None:
    at(desk, ForgeStatus.PENDING)
    assert (await api.post(CREATE, json=FORGE, headers=moderator)).status == 201
    own = "add-forge/request/list/?user_requests_only=1"
    assert [row["id"] for row in await api.json(own, headers=ada)] == [1]
    assert [row["id"] for row in await api.json(own, headers=moderator)] == [2]
    assert [row["id"] for row in await api.json(own)] == [2, 1], "nobody has own ones"
    answer = await api.get(f"{own}&per_page=1&page=2", headers=ada)
    assert answer.headers["Link"].endswith('?page=1&per_page=1&user_requests_only=1>; rel="previous"')


async def test_one_request_with_its_history(api: Any, desk: Desk, ada: Headers, moderator: Headers) -> None:
    id = at(desk, ForgeStatus.ACCEPTED)
    for headers in ({}, ada):
        body = await api.json(f"add-forge/request/{id}/get/", headers=headers)
        assert list(body) == ["request", "history"]
        assert list(body["request"]) == PUBLIC
        assert [list(line) for line in body["history"]] == [["id", "date", "new_status", "actor_role"]] * 3
        assert [(line["new_status"], line["actor_role"]) for line in body["history"]] == [
            ("PENDING", "SUBMITTER"),
            ("WAITING_FOR_FEEDBACK", "MODERATOR"),
            ("ACCEPTED", "MODERATOR"),
        ]
    body = await api.json(f"add-forge/request/{id}/get/", headers=moderator)
    assert list(body["request"]) == FULL
    assert body["history"][-1] == {
        "id": body["history"][-1]["id"],
        "message_source_url": None,
        "text": "",
        "actor": "mod",
        "actor_role": "MODERATOR",
        "date": "2026-01-01T00:00:00Z",
        "new_status": "ACCEPTED",
    }


async def test_the_address_of_a_request_stays(serving: Any, sample: Any, tmp_path: Path) -> None:
    text = f"{desks.IN_MEMORY}server: {{public_url: https://a.example.org}}\n"
    with desks.desk(sample.archive, tmp_path, text) as public:
        headers = desks.bearer(public, "mod", "staff")
        async with serving(sample, desk=public, requests=lambda: public.requests) as api:
            first = await (await api.post(CREATE, json=FORGE, headers=headers)).json()
            again = await api.json("add-forge/request/1/get/", headers=headers)
    assert first["inbound_email_address"] == again["request"]["inbound_email_address"]
    assert first["inbound_email_address"].endswith("@a.example.org")
