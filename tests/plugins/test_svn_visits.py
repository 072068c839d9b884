"""Visits of Subversion repositories: again and again, in part, over each transport, and of what is not there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives import archive, shell
from servers import git_ssh
from svn_servers import SvnRepository, delete, folder, history_of, node, svn, svnserve

from swhkit import visit
from swhkit.archive import Archive
from swhkit.model import Timestamp
from swhkit.net import Network
from swhkit.plugin import Limits
from swhkit_svn import SvnConfig, loader

PLAIN: dict[str, str | bytes | None] = {}


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Archive]:
    with archive("memory", tmp_path) as opened:
        yield opened


@pytest.fixture
def repository(tmp_path: Path) -> SvnRepository:
    """Three revisions: a trunk, a change, a branch."""
    made = SvnRepository(tmp_path / "served" / "repo")
    made.commit(
        *(folder(name) for name in ("trunk", "trunk/d", "branches")),
        node("trunk/f", text=b"one\r\n", properties={"svn:eol-style": "LF", "svn:executable": "*"}),
        node("trunk/d/ln", text=b"link ../f", properties={"svn:special": "*"}),
    )
    made.commit(node("trunk/f", "change", text=b"two\r\n"))
    made.commit(node("branches/b", kind="dir", source=(1, "trunk")))
    return made


def load(target: Archive, url: str, retries: int = 0) -> visit.Report:
    return visit.run(target, loader.make(SvnConfig(retries=retries)), url, "svn", network=shell())


def afresh(url: str, tmp_path: Path) -> str | None:
    """The snapshot of a first visit, into another archive."""
    (tmp_path / "afresh").mkdir(exist_ok=True)
    with archive("memory", tmp_path / "afresh") as other:
        return load(other, url).snapshot


@pytest.mark.parametrize("transport", ["file", "svn"])
def test_again(transport: str, repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    """What is new comes, also what it copies from revisions long archived."""
    with svnserve(tmp_path / "served") as base:
        url = repository.url if transport == "file" else f"{base}/repo"
        first = load(target, url)
        assert (first.status, first.load_status) == ("full", "eventful")
        again = load(target, url)
        assert (again.status, again.load_status, again.snapshot) == ("full", "uneventful", first.snapshot)
        repository.commit(
            node("branches/old", kind="dir", source=(1, "trunk")),
            node("branches/old/f", "change", text=b"three\r\n"),
            node("f", source=(1, "trunk/f")),
            node("ln", source=(1, "trunk/d/ln")),
        )
        repository.commit()
        later = load(target, url)
        assert (later.status, later.load_status, later.error) == ("full", "eventful", None)
        assert later.new["revision"] == 1
        assert later.snapshot == afresh(url, tmp_path)
        revisions = history_of(target, later)
        assert [number for number, _ in revisions] == [4, 3, 2, 1]
        assert revisions[0][1].directory == repository.exported(tmp_path, 4)
        assert load(target, url).load_status == "uneventful"


def test_shorter_than_it_was(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    """A repository that was put back is another history: its first revision follows the last of the old."""
    before = load(target, repository.url)
    repository.path.rename(tmp_path / "moved")
    again = SvnRepository(repository.path)
    again.commit(folder("new"))
    after = load(target, repository.url)
    assert after.status == "full"
    (new,) = (revision for number, revision in history_of(target, after)[:1])
    assert new.parents == (history_of(target, before)[0][1].id,)
    assert load(target, repository.url).load_status == "uneventful"


def test_a_part_at_a_time(
    repository: SvnRepository, target: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visit whose time is up keeps what it has; the next goes on from there."""
    with svnserve(tmp_path / "served") as base:
        monkeypatch.setattr(loader, "_SHARE", 0.0)
        for number in (1, 2):
            report = load(target, f"{base}/repo")
            assert (report.status, report.load_status) == ("partial", "eventful"), report
            assert history_of(target, report)[0][0] == number
            assert "time was up" in (report.error or "")
        monkeypatch.undo()
        report = load(target, f"{base}/repo")
        assert (report.status, report.snapshot) == ("full", afresh(f"{base}/repo", tmp_path))


def test_a_killed_visit_leaves_nothing(
    repository: SvnRepository, target: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swhkit_svn.loader._Visit._tell", killed)
    with pytest.raises(KeyboardInterrupt):
        load(target, repository.url)
    monkeypatch.undo()
    report = load(target, repository.url)
    assert (report.status, report.visit, report.snapshot) == ("full", 2, afresh(repository.url, tmp_path))


def test_dump_files(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    """A dump gives the objects of the repository, whole or cut, new or grown."""
    file = tmp_path / "it.svndump"
    file.write_bytes(repository.dump()[:-200])
    url = file.as_uri()
    cut = load(target, url)
    assert (cut.status, cut.load_status) == ("partial", "eventful")
    file.write_bytes(repository.dump())
    whole = load(target, url)
    assert (whole.status, whole.snapshot) == ("full", afresh(repository.url, tmp_path))
    assert load(target, url).load_status == "uneventful"
    repository.commit(delete("trunk/d"))
    file.write_bytes(repository.dump("--deltas"))
    grown = load(target, url)
    assert (grown.status, grown.new["revision"], grown.snapshot) == (
        "full",
        1,
        afresh(repository.url, tmp_path),
    )
    file.write_bytes(repository.dump().replace(b"revision 3", b"revision X"))
    altered = load(target, url)
    assert altered.status == "full"
    assert history_of(target, altered)[-1][1].parents == ()
    numbers = [number for number, _ in history_of(target, altered)]
    assert numbers == [4, 3, 2, 1, 4, 3, 2, 1]


def test_folders(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    """A folder of a repository has a history of its own, to the last revision that has it."""
    repository.commit(node("trunk/g", text=b"g", properties=PLAIN))
    repository.commit(delete("branches/b/d"))
    repository.commit(delete("branches/b"))
    repository.commit(folder("other"))
    with svnserve(tmp_path / "served") as base:
        for url in (repository.url, f"{base}/repo"):
            for path, expected in (("trunk", [4, 2, 1]), ("branches/b", [5, 3]), ("trunk/d/", [1])):
                report = load(target, f"{url}/{path}")
                assert report.status == "full", report
                revisions = history_of(target, report)
                assert [number for number, _ in revisions] == expected
                made = repository.exported(tmp_path, expected[0], path.rstrip("/"))
                assert revisions[0][1].directory == made
                assert load(target, f"{url}/{path}").snapshot == report.snapshot
            never = load(target, f"{url}/nowhere/at/all")
            assert (never.status, never.load_status) == ("not_found", "uneventful"), never
            assert load(target, f"{url}/trunk/f").status in ("failed", "not_found")


def test_what_is_not_there(target: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is asked again; what is told for certain is not."""
    (tmp_path / "served").mkdir()
    (tmp_path / "text").write_text("no dump")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with svnserve(tmp_path / "served") as base:
        waits: list[float] = []
        monkeypatch.setattr("time.sleep", waits.append)
        for url in (f"{tmp_path}/nothing", f"{tmp_path}/text", f"{base}/nothing"):
            assert load(target, url, retries=3).status == "not_found"
        assert waits == []
        report = load(target, f"svn://127.0.0.1:{port}/x", retries=3)
        assert (report.status, report.load_status, waits) == ("not_found", "uneventful", [1.0, 2.0, 4.0])
        assert "refused" in (report.error or "")
        monkeypatch.undo()


def test_passwords(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    """A name and a password come from the URL, and are in no list of processes and no row."""
    conf = repository.path / "conf"
    (conf / "svnserve.conf").write_text(
        "[general]\nanon-access = none\nauth-access = read\npassword-db = passwd\n"
    )
    (conf / "passwd").write_text("[users]\nann = se cret\n")
    with svnserve(tmp_path / "served") as base:
        place = base.removeprefix("svn://")
        assert load(target, f"svn://ann:wrong@{place}/repo").status == "not_found"
        report = load(target, f"svn://ann:se%20cret@{place}/repo")
        assert (report.status, report.origin) == ("full", f"svn://{place}/repo")
        lone = load(target, f"http://token@{place}/repo")
        assert lone.status == "failed"
        assert "USER:PASSWORD@" in (lone.error or "")
        assert "token" not in (lone.error or "").replace("a token", "")


def test_over_ssh(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    with git_ssh(tmp_path / "served", tmp_path / "sshd") as server:
        url = f"svn+ssh://{server.user}@127.0.0.1:{server.port}{repository.path}"
        config = SvnConfig(retries=0, ssh_config=server.config)
        report = visit.run(target, loader.make(config), url, "svn", network=shell())
        assert (report.status, report.error) == ("full", None)
        assert report.snapshot == afresh(repository.url, tmp_path)
        stranger = Network(schemes=("svn+ssh",), private_addresses="always")
        refused = visit.run(
            target, loader.make(SvnConfig(retries=0)), url + "/trunk", "svn", network=stranger
        )
        assert refused.status == "not_found"


def test_a_local_repository_is_only_read(repository: SvnRepository, target: Archive, tmp_path: Path) -> None:
    hooks = sorted((repository.path / "hooks").glob("*.tmpl"))
    assert hooks
    for hook in hooks:
        script = hook.with_suffix("")
        script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        script.chmod(0o755)
    state = {path: path.stat() for path in repository.path.rglob("*")}
    assert load(target, repository.url).status == "full"
    assert load(target, f"{repository.url}/trunk").status == "full"
    assert {path: path.stat().st_mtime_ns for path in repository.path.rglob("*")} == {
        path: status.st_mtime_ns for path, status in state.items()
    }
    assert not (tmp_path / "ran").exists()


def test_odd_properties_of_revisions(target: Archive, tmp_path: Path) -> None:
    repository = SvnRepository(tmp_path / "repo")
    repository.commit(folder("a"), svn_date="yesterday", svn_author="")
    repository.commit(folder("b"), svn_date="1965-01-01T00:00:00.000000Z", svn_log="")
    dump = repository.dump().replace(b"\nV 10\nrevision 1\n", b"\nV 10\nrevisi\xff\xfe 1\n")
    (tmp_path / "it").write_bytes(dump)
    report = load(target, f"{tmp_path}/it")
    assert report.status == "full"
    (_, second), (_, first) = history_of(target, report)
    assert (first.message, first.date) == (b"revisi\xff\xfe 1", Timestamp(0, 0, b"+0000"))
    assert (second.message, second.date) == (b"", Timestamp(-157766400, 0, b"+0000"))


def test_large_files(target: Archive, tmp_path: Path) -> None:
    """Texts that do not fit into memory, by deltas too, converted, and above the limit of what is kept."""
    repository = SvnRepository(tmp_path / "served" / "repo")
    text = b"0123456789abcde\r\n" * 600_000
    repository.commit(
        node("plain", text=text, properties=PLAIN), node("eol", text=text, properties={"svn:eol-style": "LF"})
    )
    repository.commit(
        node("plain", "change", text=text + b"more"), node("eol", "change", text=b"less" + text),
        node("copy", source=(1, "eol")),
    )  # fmt: skip
    with svnserve(tmp_path / "served") as base:
        config = loader.make(SvnConfig(retries=0))
        for limit in (None, 1 << 20):
            report = visit.run(
                target, config, f"{base}/repo" if limit else repository.url, "svn",
                network=shell(), limits=Limits(max_content_size=limit),
            )  # fmt: skip
            assert (report.status, report.error) == ("full", None)
            assert history_of(target, report)[0][1].directory == repository.exported(tmp_path / str(limit), 2)


def test_a_name_that_looks_like_an_option(target: Archive, tmp_path: Path) -> None:
    SvnRepository(tmp_path / "served" / "-r" / "--version").commit(folder("@{5}"), folder("-x"))
    with svnserve(tmp_path / "served") as base:
        for url in (
            f"{base}/-r/--version",
            f"{base}/-r/--version/@%7B5%7D",
            f"{tmp_path}/served/-r/--version/-x",
        ):
            report = load(target, url)
            assert (report.status, report.error) == ("full", None), url
    assert svn("svn", "--version", "-q")
