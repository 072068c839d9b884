"""``directory/``, ``revision/``, ``release/``, ``snapshot/``: bodies key by key, odd objects, reasons."""

from __future__ import annotations

import re
from typing import Any

import pytest
from reading_samples import ADA, BOB, MISSING

EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def entry(
    api: Any, parent: bytes, name: str, type: str, target: bytes, perms: int, **more: Any
) -> dict[str, Any]:
    """A directory entry as it is expected."""
    paths = {"file": "content/sha1_git:", "dir": "directory/", "rev": "revision/"}
    return {
        "dir_id": parent.hex(),
        "type": type,
        "target": target.hex(),
        "name": name,
        "perms": perms,
        "length": None,
        "target_url": f"{api.base}{paths[type]}{target.hex()}/",
        **more,
    }


def known(row: Any) -> dict[str, Any]:
    """What an entry has of a content with a row."""
    sums = {"sha1": row.sha1.hex(), "sha1_git": row.sha1_git.hex(), "sha256": row.sha256.hex()}
    return {"length": row.length, "status": row.status, "checksums": sums}


async def test_directory(api: Any) -> None:
    s = api.sample
    found = await api.json(f"directory/{s.root.hex()}/")
    hello, empty = s.hello, s.empty
    assert found == [
        entry(api, s.root, "README", "file", hello.sha1_git, 33188, **known(hello)),
        entry(api, s.root, "back\\slash", "file", empty.sha1_git, 33188, **known(empty)),
        entry(api, s.root, "bad", "dir", s.bad_name, 16384),
        entry(api, s.root, "link", "file", s.html.sha1_git, 40960, **known(s.html)),
        entry(api, s.root, "lost", "file", MISSING, 33188),
        entry(api, s.root, "nowhere", "dir", MISSING, 16384),
        entry(api, s.root, "rowless", "file", s.rowless.sha1_git, 33188),
        entry(api, s.root, "skipped", "file", s.skipped.sha1_git, 33188, **known(s.skipped)),
        entry(api, s.root, "sub", "dir", s.inner, 16384),
        entry(api, s.root, "submodule", "rev", MISSING, 57344),
        entry(api, s.root, "é", "file", hello.sha1_git, 33188, **known(hello)),
    ]
    assert found[7]["status"] == "absent"


async def test_directory_with_a_name_that_is_not_utf8(api: Any) -> None:
    s = api.sample
    (found,) = await api.json(f"directory/{s.bad_name.hex()}/")
    assert found == entry(
        api,
        s.bad_name,
        "a\\xffb",
        "file",
        s.hello.sha1_git,
        33261,
        **known(s.hello),
        decoding_failures=["name"],
    )


async def test_directories_that_git_would_not_make(api: Any) -> None:
    assert len(await api.json(f"directory/{api.sample.duplicate.hex()}/")) == 2
    assert await api.json(f"directory/{EMPTY}/") == []
    answer = await api.get(f"directory/{api.sample.truncated.hex()}/")
    body = await answer.json()
    assert (answer.status, body["exception"]) == (500, "Unreadable")
    assert "Traceback" not in body["reason"]


async def test_directory_reasons(api: Any) -> None:
    missing = MISSING.hex()
    assert await api.not_found(f"directory/{missing}/") == f"Directory with sha1_git {missing} not found"
    assert await api.bad("directory/0/") == "Invalid checksum query string 0"
    root = api.sample.root.hex()
    assert await api.not_found(f"directory/{root}/no/such/") == (
        f"Directory entry with path no/such from root directory {root} not found"
    )
    assert await api.not_found(f"directory/{missing}/x/") == f"Directory with sha1_git {missing} not found"
    for path in ("README/x", "nowhere/x", "sub/../README", "..", "sub//f.txt"):
        await api.not_found(f"directory/{root}/{path}/")


async def test_directory_by_path(api: Any) -> None:
    s = api.sample
    found = await api.json(f"directory/{s.root.hex()}/sub/f.txt/")
    assert found == entry(api, s.inner, "sub/f.txt", "file", s.hello.sha1_git, 33188, **known(s.hello))
    found = await api.json(f"directory/{s.root.hex()}/sub/")
    assert found == entry(api, s.root, "sub", "dir", s.inner, 16384)
    found = await api.json(f"directory/{s.root.hex()}/bad/a%FFb/")
    assert (found["name"], found["decoding_failures"]) == ("bad/a\\xffb", ["name"])
    found = await api.json(f"directory/{s.root.hex()}/%C3%A9/")
    assert found["name"] == "é"
    found = await api.json(f"directory/{s.root.hex()}/sub%2Ff.txt/")
    assert found["type"] == "file"


def person(api: Any) -> dict[str, Any]:
    """Ada as she is expected."""
    number = api.sample.persons[ADA.fullname]
    return {"id": number, "fullname": "Ada <ada@example.org>", "name": "Ada", "email": "ada@example.org"}


def revision_body(api: Any, id: bytes, **values: Any) -> dict[str, Any]:
    """A revision of the samples as it is expected, but for ``values``."""
    ada = {
        "id": api.sample.persons[ADA.fullname],
        "fullname": "Ada <ada@example.org>",
        "name": "Ada",
        "email": "ada@example.org",
    }
    parents = [{"id": p.hex(), "url": f"{api.base}revision/{p.hex()}/"} for p in values.pop("parents", ())]
    numbers = {name: (values.get(name) or ada).get("id") for name in ("author", "committer")}
    directory = values.pop("directory").hex()
    return {
        "id": id.hex(),
        "type": "git",
        "author": ada,
        "committer": ada,
        "date": "2014-08-18T18:18:25+02:00",
        "committer_date": "2014-08-18T18:18:25+02:00",
        "directory": directory,
        "synthetic": False,
        "metadata": {},
        "extra_headers": [],
        "parents": parents,
        "merge": len(parents) > 1,
        "url": f"{api.base}revision/{id.hex()}/",
        "history_url": f"{api.base}revision/{id.hex()}/log/",
        "directory_url": f"{api.base}directory/{directory}/",
        **{f"{name}_url": f"{api.base}person/{n}/" for name, n in numbers.items() if n is not None},
        **values,
    }


async def test_revision(api: Any) -> None:
    s = api.sample
    assert await api.json(f"revision/{s.first.hex()}/") == revision_body(
        api, s.first, message="first\n", directory=s.root
    )
    assert await api.json(f"revision/{s.merge.hex()}/") == revision_body(
        api,
        s.merge,
        message="merge\n",
        directory=s.root,
        parents=(s.left, s.right),
        date="1969-12-31T23:29:59-00:30",
        committer_date="2024-01-01T00:00:00+00:00",
        extra_headers=[["encoding", "latin-1"], ["gpgsig", "a\n b"]],
    )


async def test_revision_with_everything_odd(api: Any) -> None:
    s = api.sample
    bob = {
        "id": s.persons[BOB.fullname],
        "fullname": "Bob \\xff <b\\\\ob@example.org>",
        "name": "Bob \\xff",
        "email": "b\\ob@example.org",
        "decoding_failures": ["fullname", "name"],
    }
    assert await api.json(f"revision/{s.odd.hex()}/") == revision_body(
        api,
        s.odd,
        message="caf\\xe9 \\\\ \x1b[31m\n",
        directory=s.root,
        parents=(MISSING,),
        author=bob,
        committer={"fullname": "<>", "name": None, "email": None},
        date="1970-01-01T00:00:01+00:00",
        committer_date="1970-01-01T00:00:00+00:00",
        extra_headers=[["x", "\\xfe"]],
        message_url=f"{api.base}revision/{s.odd.hex()}/raw/",
        decoding_failures=["message", "extra_headers", "raw_manifest"],
        # A moment beyond all calendars is read as the first, and the bytes are shown.
        raw_manifest=(
            f"commit 193\0tree {s.root.hex()}\nparent {MISSING.hex()}\nauthor Bob \\xff <b\\\\ob@example.org> 1 +051800\n"
            "committer <> 1152921504606846976 -0000\nx \\xfe\n\ncaf\\xe9 \\\\ \x1b[31m\n"
        ),
    )


async def test_revision_without_author(api: Any) -> None:
    found = await api.json(f"revision/{api.sample.authorless.hex()}/")
    assert (found["author"], found["committer"], found["date"]) == (None, None, None)
    assert found["directory"] == api.sample.root.hex()


async def test_revision_of_another_system(api: Any) -> None:
    found = await api.json(f"revision/{api.sample.svn.hex()}/")
    assert (found["type"], found["synthetic"]) == ("svn", True)
    assert found["metadata"] == {"revision": 1, "deep": {"a": [None]}}
    assert found["date"] == "2024-01-01T00:00:00.500000+00:00"


async def test_revision_message(api: Any) -> None:
    id = api.sample.odd.hex()
    answer = await api.get(f"revision/{id}/raw/")
    assert await answer.read() == b"caf\xe9 \\ \x1b[31m\n"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == f"attachment;filename=rev_{id}_raw"
    silent = api.sample.silent.hex()
    assert (await api.json(f"revision/{silent}/"))["message"] is None
    assert await api.not_found(f"revision/{silent}/raw/") == (
        f"No message for revision with sha1_git {silent}."
    )


async def test_revision_reasons(api: Any) -> None:
    missing = MISSING.hex()
    reason = f"Revision with sha1_git {missing} not found."
    for path in ("", "raw/", "log/", "directory/", "directory/x/", "log/?per_page=3"):
        assert await api.not_found(f"revision/{missing}/{path}") == reason
    assert await api.bad("revision/abc/") == "Invalid checksum query string abc"
    # A digest that is held as another kind is not held as a revision.
    await api.not_found(f"revision/{api.sample.root.hex()}/")


async def test_revision_directory(api: Any) -> None:
    s = api.sample
    found = await api.json(f"revision/{s.first.hex()}/directory/")
    listing = await api.json(f"directory/{s.root.hex()}/")
    assert found == {"type": "dir", "path": ".", "revision": s.first.hex(), "content": listing}
    found = await api.json(f"revision/{s.first.hex()}/directory/sub/")
    assert (found["path"], found["content"]) == ("sub", await api.json(f"directory/{s.inner.hex()}/"))
    found = await api.json(f"revision/{s.first.hex()}/directory/sub/f.txt/")
    assert (found["type"], found["path"]) == ("file", "sub/f.txt")
    assert found["content"] == await api.json(f"content/sha1:{s.hello.sha1.hex()}/")
    found = await api.json(f"revision/{s.first.hex()}/directory/submodule/")
    assert (found["type"], found["content"]) == ("rev", None)
    found = await api.json(f"revision/{s.submodule.hex()}/directory/module/")
    assert found["content"] == await api.json(f"revision/{s.first.hex()}/")


async def test_revision_directory_reasons(api: Any) -> None:
    s = api.sample
    first, gapped = s.first.hex(), s.gapped.hex()
    for id, path, shown in (
        (first, "no/", "no"),
        (first, "nowhere/", "nowhere"),
        (gapped, "", "."),
        (gapped, "x/", "x"),
    ):
        assert await api.not_found(f"revision/{id}/directory/{path}") == (
            f"Directory or File '{shown}' pointed to by revision {id} not found"
        )
    for name in ("lost", "rowless"):
        assert await api.not_found(f"revision/{first}/directory/{name}/") == (
            f"Content not found for revision {first}"
        )


async def test_log(api: Any) -> None:
    s = api.sample
    found = await api.json(f"revision/{s.merge.hex()}/log/")
    assert [one["id"] for one in found] == [d.hex() for d in (s.merge, s.left, s.right, s.first)]
    assert found[0] == await api.json(f"revision/{s.merge.hex()}/")
    answer = await api.get(f"revision/{s.merge.hex()}/log/?limit=2")
    assert [one["id"] for one in await answer.json()] == [s.merge.hex(), s.left.hex()]
    assert "Link" not in answer.headers
    for limit, count in (("0", 1), ("-5", 1), ("99999999999999999999", 4)):
        assert len(await api.json(f"revision/{s.merge.hex()}/log/?limit={limit}")) == count
    assert [one["id"] for one in await api.json(f"revision/{s.odd.hex()}/log/")] == [s.odd.hex()]


async def test_log_in_pages(api: Any) -> None:
    s = api.sample
    answer = await api.get(f"revision/{s.merge.hex()}/log/?per_page=1")
    assert len(await answer.json()) == 1
    following = f"{api.base}revision/{s.left.hex()}/log/?per_page=1"
    assert answer.headers["Link"] == f'<{following}>; rel="next"'
    answer = await api.get(f"revision/{s.merge.hex()}/log/?per_page=4")
    assert len(await answer.json()) == 4
    assert "Link" not in answer.headers


@pytest.mark.parametrize("name", ["limit", "per_page"])
@pytest.mark.parametrize("value", ["", "x", "1.5", "1e3", "0x10", "%D9%A1", "9" * 5000])
async def test_log_refuses_what_is_no_number(api: Any, name: str, value: str) -> None:
    reason = await api.refused(
        f"revision/{api.sample.merge.hex()}/log/?{name}={value}", 400, "ValidationError"
    )
    assert reason == {name: ["A valid integer is required."]}


async def test_release(api: Any) -> None:
    s = api.sample
    ada = {
        "id": s.persons[ADA.fullname],
        "fullname": "Ada <ada@example.org>",
        "name": "Ada",
        "email": "ada@example.org",
    }
    assert await api.json(f"release/{s.release.hex()}/") == {
        "id": s.release.hex(),
        "name": "v1.0",
        "message": "one\n",
        "target": s.merge.hex(),
        "target_type": "revision",
        "target_url": f"{api.base}revision/{s.merge.hex()}/",
        "author": ada,
        "author_url": f"{api.base}person/{ada['id']}/",
        "date": "2014-08-18T18:18:25+02:00",
        "synthetic": False,
    }
    assert await api.json(f"release/{s.nested.hex()}/") == {
        "id": s.nested.hex(),
        "name": "v1.0-signed",
        "message": None,
        "target": s.release.hex(),
        "target_type": "release",
        "target_url": f"{api.base}release/{s.release.hex()}/",
        "author": None,
        "date": None,
        "synthetic": False,
    }
    found = await api.json(f"release/{s.of_content.hex()}/")
    assert (found["name"], found["message"]) == ("bl\\xffob", "\\xff\n")
    assert found["decoding_failures"] == ["name", "message"]
    assert found["target_url"] == f"{api.base}content/sha1_git:{s.hello.sha1_git.hex()}/"
    found = await api.json(f"release/{s.of_directory.hex()}/")
    assert found["target_url"] == f"{api.base}directory/{s.inner.hex()}/"


async def test_release_reasons(api: Any) -> None:
    missing = MISSING.hex()
    assert await api.not_found(f"release/{missing}/") == f"Release with sha1_git {missing} not found."
    assert await api.bad(f"release/{missing}0/") == f"Invalid checksum query string {missing}0"


def branch(api: Any, kind: str, target: str, path: str | None) -> dict[str, Any]:
    """A branch as it is expected."""
    return {
        "target": target,
        "target_type": kind,
        **({} if path is None else {"target_url": api.base + path}),
    }


async def test_snapshot(api: Any) -> None:
    s = api.sample
    merge, odd, inner, release = s.merge.hex(), s.odd.hex(), s.inner.hex(), s.release.hex()
    hello = s.hello.sha1_git.hex()
    answer = await api.get(f"snapshot/{s.snp.hex()}/")
    found = await answer.json()
    assert found == {
        "id": s.snp.hex(),
        "branches": {
            "HEAD": branch(api, "alias", "refs/heads/main", f"revision/{merge}/"),
            "a-cycle": branch(api, "alias", "b-cycle", None),
            "b-cycle": branch(api, "alias", "a-cycle", None),
            "bad\\xff": branch(api, "content", hello, f"content/sha1_git:{hello}/"),
            "chain": branch(api, "alias", "HEAD", f"revision/{merge}/"),
            "dangling": None,
            "refs/heads/main": branch(api, "revision", merge, f"revision/{merge}/"),
            "refs/heads/tree": branch(api, "directory", inner, f"directory/{inner}/"),
            "refs/tags/v1": branch(api, "release", release, f"release/{release}/"),
            "to-nothing": branch(api, "alias", "dangling", None),
            "\\xff\\xfe": branch(api, "revision", odd, f"revision/{odd}/"),
        },
        "next_branch": None,
    }
    assert "Link" not in answer.headers
    names = ["HEAD", "a-cycle", "b-cycle", "bad\\xff", "chain", "dangling", "refs/heads/main"]
    assert list(found["branches"])[:7] == names
    assert await api.json(f"snapshot/{s.empty_snp.hex()}/") == {
        "id": s.empty_snp.hex(),
        "branches": {},
        "next_branch": None,
    }


async def test_snapshot_in_pages(api: Any) -> None:
    """Following Link gives every branch once, names that are not UTF-8 included; aliases lead beyond their page."""
    names: list[str] = []
    path: str | None = f"snapshot/{api.sample.snp.hex()}/?branches_count=1"
    while path is not None:
        answer = await api.get(path)
        body = await answer.json()
        names += body["branches"]
        if "HEAD" in body["branches"]:
            assert body["branches"]["HEAD"]["target_url"].endswith(f"revision/{api.sample.merge.hex()}/")
            assert body["next_branch"] == "a-cycle"
            assert answer.headers["Link"] == (
                f"<{api.base}snapshot/{api.sample.snp.hex()}/?branches_count=1&branches_from=a-cycle>"
                '; rel="next"'
            )
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
        path = link[1].removeprefix(api.base) if link else None
    assert len(names) == len(set(names)) == 11
    assert names[-1] == "\\xff\\xfe"


async def test_snapshot_by_the_next_branch_as_it_was_shown(api: Any) -> None:
    path = f"snapshot/{api.sample.snp.hex()}/?branches_count=1&branches_from="
    assert (await api.json(path + "bad"))["branches"].keys() == {"bad\\xff"}
    assert (await api.json(path + "bad%5Cxff"))["branches"].keys() == {"bad\\xff"}
    assert (await api.json(path + "%5Cxff%5Cxfe"))["branches"].keys() == {"\\xff\\xfe"}
    assert (await api.json(path + "%FF%FF"))["branches"] == {}


async def test_snapshot_of_some_types(api: Any) -> None:
    path = f"snapshot/{api.sample.snp.hex()}/?target_types="
    assert (await api.json(path + "release,directory"))["branches"].keys() == {
        "refs/heads/tree",
        "refs/tags/v1",
    }
    answer = await api.get(path + "alias&branches_count=2")
    assert (await answer.json())["branches"].keys() == {"HEAD", "a-cycle"}
    assert "branches_count=2&branches_from=b-cycle&target_types=alias>" in answer.headers["Link"]
    for words in ("revision,foo", ""):
        reason = await api.refused(path + words, 400, "ValidationError")
        assert reason == {
            "target_types": [
                "Valid target type values are: content, directory, revision, release, snapshot, alias"
            ]
        }


async def test_snapshot_reasons(api: Any) -> None:
    missing = MISSING.hex()
    assert await api.not_found(f"snapshot/{missing}/") == f"Snapshot with id {missing} not found!"
    assert await api.bad("snapshot/12/") == "Invalid checksum query string 12"
    path = f"snapshot/{api.sample.snp.hex()}/?branches_count="
    for value, text in (
        ("0", "Ensure this value is greater than or equal to 1."),
        ("1001", "Ensure this value is less than or equal to 1000."),
        ("x", "A valid integer is required."),
    ):
        assert await api.refused(path + value, 400, "ValidationError") == {"branches_count": [text]}


@pytest.mark.parametrize("kind", ["directory", "revision", "release", "snapshot"])
async def test_upper_case_is_redirected(api: Any, kind: str) -> None:
    answer = await api.get(f"{kind}/{'AB' * 20}/?x=1")
    assert (answer.status, answer.headers["Location"]) == (302, f"/api/1/{kind}/{'ab' * 20}/")


async def test_redirects_keep_the_rest_of_the_path(api: Any) -> None:
    answer = await api.get(f"directory/{'AB' * 20}/A%FF%0D%0AX:%20y/?x=1")
    assert answer.headers["Location"] == f"/api/1/directory/{'ab' * 20}/A%FF%0D%0AX:%20y/"
