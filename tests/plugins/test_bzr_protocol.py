"""What servers, damaged or hostile, may say: an error of one sentence, never more than is held for it."""

from __future__ import annotations

import hashlib
import io
import socketserver
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from bzr_samples import Visits

from swhkit.plugin import LimitExceeded
from swhkit_bzr import bencode, swhkit_visit_type
from swhkit_bzr.branch import resolved
from swhkit_bzr.history import History
from swhkit_bzr.inflate import inflate
from swhkit_bzr.inventory import deltas
from swhkit_bzr.mirror import Pack, packs_of
from swhkit_bzr.oldrevision import parse_xml
from swhkit_bzr.record import Record
from swhkit_bzr.revision import parse, revision_of

VERSION = b"bzr message 3 (bzr 1.6)\n"
CONTAINER = b"Bazaar pack format 1 (introduced in 0.18)\n"
TEXT = b"text of a file\n"


def counted(data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + data


def message(*words: bytes, status: bytes = b"S", body: bytes = b"") -> bytes:
    part = b"b" + counted(body) if body else b""
    return VERSION + counted(b"de") + b"o" + status + b"s" + counted(bencode.encode(words)) + part + b"e"


def inventories(*lines: bytes, parent: bytes = b"null:", revision: bytes = b"r1") -> bytes:
    head = b"format: bzr inventory delta v1 (bzr 1.14)\nparent: %s\nversion: %s\n" % (parent, revision)
    text = head + b"versioned_root: true\ntree_references: true\n" + b"".join(line + b"\n" for line in lines)
    record = b"fulltext\n" + counted(b"le") + text
    return CONTAINER + b"B5\n\nname\nB%d\ninventory-deltas\n\n%sE" % (len(record), record)


def revision(id: bytes = b"r1", parents: bytes = b"le", date: bytes = b"1.000") -> bytes:
    pairs = {
        b"committer": b"1:A", b"timezone": b"i0e", b"properties": b"de", b"timestamp": bencode.encode(date),
        b"revision-id": bencode.encode(id), b"parent-ids": parents, b"message": b"1:m",
    }  # fmt: skip
    return b"l%se" % b"".join(b"l%s%se" % (bencode.encode(key), value) for key, value in pairs.items())


def line(path: bytes, content: bytes, old: bytes = b"None") -> bytes:
    return b"\0".join([old, path, b"id-" + path, b"root", b"r1", content])


FILE = line(b"/a", b"file\0%d\0\0%s" % (len(TEXT), hashlib.sha1(TEXT).hexdigest().encode()))
GOOD = {
    b"BzrDir.open_branchV3": message(b"branch", b"Bazaar Branch Format 7"),
    b"BzrDir.find_repositoryV3": message(b"ok", b""),
    b"VersionedFileRepository.get_serializer_format": message(b"ok", b"10"),
    b"Branch.last_revision_info": message(b"ok", b"1", b"r1"),
    b"Branch.get_tags_bytes": message(b""),
    b"Branch.get_stacked_on_url": message(b"NotStacked", status=b"E"),
    b"Repository.get_revision_graph": message(b"ok", body=b"r1 ghost"),
    b"Repository.iter_revisions": message(b"ok", b"10", body=zlib.compress(revision(parents=b"l5:ghoste"))),
    b"VersionedFileRepository.get_inventories": message(b"ok", body=inventories(FILE)),
    b"Repository.iter_files_bytes": message(b"ok", body=b"ok\0000\n" + zlib.compress(TEXT)),
}


@contextmanager
def server(answers: dict[bytes, bytes], ends_after: bytes = b"") -> Iterator[str]:
    """Gives each verb its answer, and closes the connection after one."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.read(len(VERSION)) == VERSION:
                self._skip()
                self.rfile.read(1)
                words = bencode.decode(self._skip())
                if self.rfile.read(1) == b"b":
                    self._skip()
                    self.rfile.read(1)
                assert isinstance(words, list)
                answer = answers.get(words[0] if isinstance(words[0], bytes) else b"", b"")
                self.wfile.write(answer)
                if words[0] == ends_after:
                    return

        def _skip(self) -> bytes:
            return self.rfile.read(struct.unpack(">L", self.rfile.read(4))[0])

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"bzr://127.0.0.1:{found.server_address[1]}/b"
        found.shutdown()
        thread.join()


def test_a_server_of_ours_is_loaded_and_ghosts_are_nobodys_parents(tmp_path: Path) -> None:
    with server(GOOD) as url, Visits(tmp_path) as visits:
        report = visits.load(url)
        assert (report.status, report.error) == ("full", None)
        assert b"\nparent " not in visits.revision("r1")


@pytest.mark.parametrize(
    ("verb", "answer", "words"),
    [
        (b"BzrDir.open_branchV3", b"SSH-2.0-OpenSSH_9.2 and more than that\n", "does not speak Bazaar's protocol"),
        (b"BzrDir.open_branchV3", VERSION + b"\xff\xff\xff\xff", "announces arguments of 4294967295 bytes"),
        (b"BzrDir.open_branchV3", VERSION + counted(b"l" * 100_000), "cannot be read"),
        (b"BzrDir.open_branchV3", message(b"branch"), "too short"),
        (b"BzrDir.open_branchV3", message(b"ref", b"http://10.0.0.1/"), "leads to another server"),
        (b"BzrDir.open_branchV3", message(b"ref", b"."), "more than 5 references"),
        (b"Branch.get_stacked_on_url", message(b"ok", b"file:///etc"), "leads to another server"),
        (b"Branch.get_stacked_on_url", message(b"ok", b"."), "stacked on more than 5"),
        (b"Branch.get_tags_bytes", message(b"d1:ai1ee"), "cannot be read"),
        (b"VersionedFileRepository.get_serializer_format", message(b"ok", b"4"), "notation that is not known"),
        (b"Repository.get_revision_graph", message(b"ok", body=b"r1 r2\nr2 r1"), "its own ancestor"),
        (b"Repository.get_revision_graph", message(b"ok", body=b"other"), "is missing"),
        (b"Repository.get_revision_graph", message(b"ok", body=b"r1 r2\nr2"), "comes before its parent"),
        (b"Repository.iter_revisions", message(b"ok", b"10", body=b"no zlib"), "cannot be read"),
        (b"Repository.iter_revisions", message(b"ok", b"10", body=zlib.compress(b"le")), "has no"),
        (b"Repository.iter_revisions", message(b"ok", b"10"), "is missing"),
        (b"Repository.iter_revisions", message(b"ok", b"10", body=zlib.compress(bytes(100 << 20))), "more than"),
        (b"VersionedFileRepository.get_inventories", message(b"ok", body=CONTAINER + b"E"), "has no inventory"),
        (b"VersionedFileRepository.get_inventories", message(b"ok", body=CONTAINER), "break off"),
        (
            b"VersionedFileRepository.get_inventories",
            message(b"ok", body=inventories(FILE, revision=b"unasked")),
            "is missing",
        ),
        (
            b"VersionedFileRepository.get_inventories",
            message(b"ok", body=inventories(FILE, parent=b"other")),
            "differs from another",
        ),
        (
            b"VersionedFileRepository.get_inventories",
            message(b"ok", body=inventories(line(b"/../a", b"link\0x"))),
            "is no path",
        ),
        (
            b"VersionedFileRepository.get_inventories",
            message(b"ok", body=inventories(line(b"/a", b"fifo"))),
            "no known kind",
        ),
        (b"VersionedFileRepository.get_inventories", message(b"ok", body=inventories(b"/a")), "cannot be read"),
        (
            b"VersionedFileRepository.get_inventories",
            VERSION + counted(b"de") + b"oSs" + counted(b"2:ok".join([b"l", b"e"])) + b"oC" + b"oEs"
            + counted(bencode.encode([b"error", b"MemoryError", b"much"])) + b"e",
            "MemoryError",
        ),
        (b"Repository.iter_files_bytes", message(b"ok", body=b"absent\0id\0r1\0000\n"), "is missing"),
        (b"Repository.iter_files_bytes", message(b"ok", body=b"ok\n"), "cannot be read"),
        (b"Branch.get_tags_bytes", message(b"d1:ai5ee"), "its tags are not names and revisions"),
        (b"BzrDir.find_repositoryV3", message(b"ok", b"a/" * 3_000_000), "too long"),
        (b"Branch.get_tags_bytes", message(b"le"), "its tags are not names and revisions"),
        (
            b"Repository.iter_files_bytes",
            message(b"ok", body=b"ok\0000\n" + zlib.compress(TEXT.upper())),
            "is not what it was",
        ),
        (
            b"Repository.iter_files_bytes",
            message(b"ok", body=b"ok\0000\n" + zlib.compress(bytes(64 << 20))),
            "is not what it was",
        ),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_used(tmp_path: Path, verb: bytes, answer: bytes, words: str) -> None:
    with server(GOOD | {verb: answer}) as url, Visits(tmp_path) as visits:
        report = visits.load(url)
    assert (report.status, report.snapshot) == ("failed", None)
    assert words in (report.error or ""), report.error
    assert (report.error or "").startswith(url.removesuffix("/b"))
    assert "\n" not in (report.error or "")
    assert len(report.error or "") < 700


def test_a_connection_that_ends_anywhere(tmp_path: Path) -> None:
    with Visits(tmp_path) as visits:
        for verb in GOOD:
            for answer in (b"", GOOD[verb][:-1], GOOD[verb][: len(GOOD[verb]) // 2]):
                with server(GOOD | {verb: answer}, ends_after=verb) as url:
                    report = visits.load(url)
                    assert report.status == "failed", verb
                    assert "has ended the connection" in (report.error or ""), report.error


def test_dates_that_no_calendar_has() -> None:
    for date in (b"1e300", b"nan", b"-1e12"):
        made = revision_of(parse(revision(date=date)), bytes(20), [])
        assert made.date is not None
        assert made.date.seconds == 0
    for date in (b"", b"x"):
        with pytest.raises(ValueError, match="could not convert"):
            revision_of(parse(revision(date=date)), bytes(20), [])


@pytest.mark.parametrize(
    ("seconds", "offset"),
    [(0, b"+0000"), (20700, b"+0545"), (-5430, b"-0130"), (29, b"+0000"), (360000, b"+10000")],
)
def test_offsets(seconds: int, offset: bytes) -> None:
    record = Record(b"r", (), b"C <c@x>", b"-1.500", seconds, b"m", {b"bugs": b"u fixed\nbad\n\nv related"})
    made = revision_of(record, bytes(20), [])
    assert made.date is not None
    assert (made.date.seconds, made.date.offset) == (-1, offset)
    assert made.extra_headers[0] == (b"time_offset_seconds", b"%d" % seconds)
    assert made.extra_headers[1:] == ((b"bug", b"fixed u"), (b"bug", b"related v"))


def test_authors() -> None:
    def author(**properties: bytes) -> bytes:
        record = Record(
            b"r", (), b"C", b"0", 0, b"", {key.encode(): value for key, value in properties.items()}
        )
        made = revision_of(record, bytes(20), [])
        assert made.author is not None
        return made.author.fullname

    assert author() == b"C"
    assert author(author=b"A") == b"A"
    assert author(author=b"A", authors=b"X\nY") == b"X"


def test_old_revisions() -> None:
    record = parse_xml(
        b'<revision committer="&#228; &lt;x&gt;" format="5" revision_id="r" timestamp="12.9996" timezone="-60">\n'
        b'<message>a\n&lt;b</message>\n<parents><revision_ref revision_id="p"/></parents>'
        b'<properties><property name="bugs">u fixed</property></properties></revision>'
    )
    assert record == Record(b"r", (b"p",), "ä <x>".encode(), b"12.9996", -60, b"a\n<b", {b"bugs": b"u fixed"})
    made = revision_of(record, bytes(20), [])
    assert made.date is not None
    assert made.date.seconds == 13  # today's format keeps three decimals
    bomb = b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><revision>&b;</revision>'
    for data in (bomb, b"<revision>" * 100, b"<revision", b"\xff", b'<revision timezone="x"/>'):
        with pytest.raises(ValueError):
            parse_xml(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i",
        b"ie",
        b"i--1e",
        b"5:abc",
        b"-1:a",
        b"l",
        b"d1:ae",
        b"di1ei2ee",
        b"1:ab",
        b"l" * 50 + b"e" * 50,
        b"99999999999999999999999:a",
        b"l" + b"le" * 600_000 + b"e",
    ],
)
def test_what_is_no_bencode(data: bytes) -> None:
    with pytest.raises(ValueError):
        bencode.decode(data)


def test_bencode_there_and_back() -> None:
    assert bencode.decode(bencode.encode({b"b": b"2", b"a": b""})) == {b"a": b"", b"b": b"2"}
    assert bencode.decode(b"li-12el0:ee") == [-12, [b""]]


def buffered(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, io.BytesIO(data)))


def test_a_bomb_is_let_go(tmp_path: Path) -> None:
    bomb = buffered(zlib.compress(bytes(50 << 20)) + b"rest")
    with pytest.raises(LimitExceeded):
        inflate(bomb, 1 << 20)
    stream = buffered(zlib.compress(b"a") + b"rest")
    assert (inflate(stream, 1), stream.read()) == (b"a", b"rest")


def test_an_inventory_that_is_too_large() -> None:
    size = 1 << 40
    head = b"fulltext\n" + counted(b"le") + inventories().partition(b"fulltext\n" + counted(b"le"))[2][:-1]
    stream = io.BytesIO(CONTAINER + b"B%d\ninventory-deltas\n\n" % size + head)
    with pytest.raises(LimitExceeded):
        list(deltas(stream, skip=None))


def test_lists_of_packs() -> None:
    name = b"0123456789abcdef" * 2
    page = zlib.compress(b"type=leaf\n%s\0\0001 2 3 4 5\n" % name)
    head = b"B+Tree Graph Index 2\nnode_ref_lists=0\nkey_elements=1\nlen=1\nrow_lengths="
    assert list(packs_of(head + b"1\n" + page)) == [Pack(name.decode(), 5)]
    inner = zlib.compress(b"type=internal\noffset=1\n" + name)
    first = (head + b"1,2\n" + inner).ljust(4096, b"\0")
    assert len(list(packs_of(first + page.ljust(4096, b"\0") + page))) == 2
    assert list(packs_of(head + b"\n")) == []
    plain = b"Bazaar Graph Index 1\nnode_ref_lists=0\nkey_elements=1\nlen=1\n"
    assert list(packs_of(plain + name + b"\0\0\0001 2 3 4\n\n")) == [Pack(name.decode(), 4)]
    for data in (b"<html>", plain + b"../../x\0\0\0001\n", head, head + b"1\nno zlib"):
        with pytest.raises(ValueError):
            list(packs_of(data))


def test_a_history_of_many_branches_goes_branch_by_branch() -> None:
    history = History()
    history.read(io.BytesIO(b"m a2 b2\na2 a1\nb2 b1 ghost\na1 r\nb1 r\nr"))
    history.arrange(b"m")
    order = [history.ids[number] for number in history.order]
    assert order == [b"r", b"a1", b"a2", b"b1", b"b2", b"m"]

    def known(ids: list[bytes]) -> dict[bytes, bytes]:
        return {id: b"D" for id in ids if id in (b"a1", b"r")}

    assert history.new([b"m"], known, {b"D"}) == ([b"a2", b"b1", b"b2", b"m"], {b"a1": b"D", b"r": b"D"})
    assert history.new([b"m"], known, set())[1] == {}, "of another origin"
    assert history.ghosts() == [b"ghost"]


def test_a_history_may_be_long() -> None:
    history = History()
    history.read(io.BytesIO(b"".join(b"r%d r%d\n" % (n, n - 1) for n in range(1, 50_000))))
    history.arrange(b"r49999")
    assert len(history.order) == 49_999


@pytest.mark.parametrize(
    ("base", "reference", "expected"),
    [
        ("bzr://h/a/b", "../c", "bzr://h/a/c"),
        ("bzr://h:1/a/b/", "/~x/c", "bzr://h:1/~x/c"),
        ("file:///a/b", "../c", "file:///a/c"),
        ("http://h/a", "bzr://i/", "bzr://i/"),
        ("http://h/a", "//i/c", "http://i/c"),
    ],
)
def test_references(base: str, reference: str, expected: str) -> None:
    assert resolved(base, reference) == expected


@pytest.mark.parametrize(
    ("url", "is_bzr"),
    [
        ("bzr://example.org/x", True),
        ("bzr+ssh://example.org/x", True),
        ("https://bzr.savannah.gnu.org/r/a2ps", True),
        ("https://bazaar.launchpad.net/~a/b/trunk", True),
        ("https://example.org/bzr/project/trunk", True),
        ("https://example.org/project/bzr", False),
        ("https://bzr.example.org/project.git", False),
        ("https://github.com/bzr/bzr", False),
        ("https://example.org/x", False),
        ("git://bzr.example.org/x", False),
        ("bzr", False),
        ("http://[", False),
    ],
)
def test_guesses(url: str, is_bzr: bool) -> None:
    assert swhkit_visit_type(url) == ("bzr" if is_bzr else None)


def test_old_revisions_that_lie() -> None:
    top = b'<revision revision_id="r" committer="c" timestamp="1" timezone="%s"/>'
    with pytest.raises(ValueError, match="further from UTC"):
        revision_of(parse_xml(top % (b"9" * 4000)), bytes(20), ())
    for encoding in (b"rot13", b"hex", b"nonsense"):
        with pytest.raises(ValueError, match="no XML that can be read"):
            parse_xml(b'<?xml version="1.0" encoding="%s"?><revision/>' % encoding)
