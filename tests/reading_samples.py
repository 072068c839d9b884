"""An archive with every shape that readers must cope with, and the ids of what is in it."""

from __future__ import annotations

import datetime
from typing import Any

from swhkit.archive import Archive
from swhkit.hashes import git_digest, hash_content
from swhkit.manifest import encode, encode_snapshot, object_id
from swhkit.model import (
    Branch,
    BranchType,
    Bytes,
    ContentRow,
    Directory,
    Entry,
    ObjectMetadata,
    Person,
    PersonRow,
    Release,
    Revision,
    Snapshot,
    Timestamp,
    VisitStatus,
)
from swhkit.plugin import NoConfig
from swhkit.storage import Publication
from swhkit.swhid import Kind, ObjectId
from swhkit_memory import open_catalog, open_objects

UTC = datetime.UTC
URL = "https://git.example.org/u/p"
SPACED = "https://git.example.org/a%20b"
QUERY = "https://git.example.org/?p=x.git;a=summary"
EMPTY_URL = "https://git.example.org/never"
MISSING = bytes.fromhex("99" * 20)

ADA = Person(b"Ada <ada@example.org>", b"Ada", b"ada@example.org")
BOB = Person(b"Bob \xff <b\\ob@example.org>", b"Bob \xff", b"b\\ob@example.org")
NAMELESS = Person(b"<>", None, None)


class Sample:
    """Builds the archive; every id is an attribute (digest bytes, or ``ContentRow`` for contents)."""

    def __init__(self, objects: Any = None, catalog: Any = None) -> None:
        self.objects: Any = open_objects(NoConfig(), True) if objects is None else objects
        self.catalog: Any = open_catalog(NoConfig(), True) if catalog is None else catalog
        self.archive = Archive(self.objects, self.catalog, None)
        self._contents()
        self._directories()
        self._revisions()
        self._releases()
        self._persons()
        self._snapshots_and_visits()

    def _content(self, data: bytes, *, row: bool = True, data_held: bool = True, **fields: Any) -> ContentRow:
        made = ContentRow.of(hash_content(data), **fields)
        if data_held:
            self.objects.add([(ObjectId(Kind.CONTENT, made.sha1_git), Bytes(data))])
        if row:
            self.catalog.add([made])
        return made

    def _add(self, obj: Any) -> bytes:
        id = object_id(obj)
        self.objects.add([(id, Bytes(encode(obj)))])
        return id.digest

    def raw(self, kind: Kind, body: bytes) -> bytes:
        """Store bytes as they are."""
        digest = git_digest(kind.git, body)
        self.objects.add([(ObjectId(kind, digest), Bytes(body))])
        return digest

    def _contents(self) -> None:
        self.hello = self._content(b"hello\n")
        self.empty = self._content(b"")
        self.html = self._content(b"<script>alert(1)</script>\n")
        self.big = self._content(bytes(range(256)) * 16384)
        self.skipped = self._content(b"too large\n", data_held=False, status="absent", reason="too large")
        self.rowless = self._content(b"bytes without a row\n", row=False)
        self.lost = self._content(b"row without bytes\n", data_held=False)

    def _directories(self) -> None:
        file = 0o100644
        self.inner = self._add(Directory((Entry(b"f.txt", "file", self.hello.sha1_git, file),)))
        self.bad_name = self._add(Directory((Entry(b"a\xffb", "file", self.hello.sha1_git, 0o100755),)))
        entries = (
            Entry(b"README", "file", self.hello.sha1_git, file),
            Entry(b"back\\slash", "file", self.empty.sha1_git, file),
            Entry(b"bad", "dir", self.bad_name, 0o40000),
            Entry(b"link", "file", self.html.sha1_git, 0o120000),
            Entry(b"lost", "file", MISSING, file),
            Entry(b"nowhere", "dir", MISSING, 0o40000),
            Entry(b"rowless", "file", self.rowless.sha1_git, file),
            Entry(b"skipped", "file", self.skipped.sha1_git, file),
            Entry(b"sub", "dir", self.inner, 0o40000),
            Entry(b"submodule", "rev", MISSING, 0o160000),
            Entry("é".encode(), "file", self.hello.sha1_git, file),
        )
        self.root = self._add(Directory(entries))
        self.duplicate = self.raw(Kind.DIRECTORY, (b"100644 a\0" + self.hello.sha1_git) * 2)
        self.truncated = self.raw(Kind.DIRECTORY, b"100644 a\0short")

    def _revisions(self) -> None:
        summer = Timestamp(1408378705, 0, b"+0200")
        self.first = self._add(Revision(b"first\n", ADA, ADA, summer, summer, self.root))
        self.left = self._add(Revision(b"left\n", ADA, BOB, summer, summer, self.inner, (self.first,)))
        self.right = self._add(Revision(b"right\n", ADA, ADA, summer, summer, self.inner, (self.first,)))
        self.merge = self._add(
            Revision(
                b"merge\n",
                ADA,
                ADA,
                Timestamp(-1, 0, b"-0030"),
                Timestamp(1704067200, 0, b"+0000"),
                self.root,
                (self.left, self.right),
                ((b"encoding", b"latin-1"), (b"gpgsig", b"a\n b")),
            )
        )
        self.odd = self._add(
            Revision(
                b"caf\xe9 \\ \x1b[31m\n",
                BOB,
                NAMELESS,
                Timestamp(1, 0, b"+051800"),
                Timestamp(1 << 60, 0, b"-0000"),
                self.root,
                (MISSING,),
                ((b"x", b"\xfe"),),
            )
        )
        self.silent = self._add(Revision(None, ADA, ADA, summer, summer, self.root))
        self.submodule = self._add(
            Revision(b"with a held submodule\n", ADA, ADA, summer, summer, self._submodule_tree())
        )
        self.gapped = self._add(Revision(b"tree is lost\n", ADA, ADA, summer, summer, MISSING))
        authorless = b"tree " + self.root.hex().encode() + b"\n\nno author\n"
        self.authorless = self.raw(Kind.REVISION, authorless)
        self.svn = self._add(
            Revision(b"r1\n", ADA, ADA, Timestamp(1704067200, 500000, b"+0000"), summer, self.inner)
        )
        self.catalog.add(
            [ObjectMetadata(Kind.REVISION, self.svn, "svn", True, {"revision": 1, "deep": {"a": [None]}})]
        )

    def _submodule_tree(self) -> bytes:
        return self._add(Directory((Entry(b"module", "rev", self.first, 0o160000),)))

    def _releases(self) -> None:
        date = Timestamp(1408378705, 0, b"+0200")
        self.release = self._add(Release(b"v1.0", b"one\n", self.merge, Kind.REVISION, ADA, date))
        self.nested = self._add(Release(b"v1.0-signed", None, self.release, Kind.RELEASE))
        self.of_content = self._add(
            Release(b"bl\xffob", b"\xff\n", self.hello.sha1_git, Kind.CONTENT, NAMELESS, date)
        )
        self.of_directory = self._add(Release(b"tree", b"t\n", self.inner, Kind.DIRECTORY))

    def _persons(self) -> None:
        self.catalog.add([PersonRow(ADA.fullname), PersonRow(BOB.fullname)])
        self.persons = self.catalog.persons([ADA.fullname, BOB.fullname])

    def snapshot(self, branches: dict[bytes, Branch | None]) -> tuple[bytes, Snapshot]:
        """A snapshot and its id; it is known once a visit has published it."""
        made = Snapshot(branches)
        return git_digest("snapshot", encode_snapshot(made)), made

    def visit(
        self,
        url: str,
        snapshot: Snapshot | None,
        status: VisitStatus = VisitStatus.FULL,
        visit_type: str = "git",
        date: datetime.datetime = datetime.datetime(2024, 1, 1, 12, tzinfo=UTC),
    ) -> int:
        """Make a visit that has ended."""
        opened = self.catalog.open_visit(url, visit_type, date)
        self.catalog.publish(url, opened.number, Publication(status=status, date=date, snapshot=snapshot))
        return int(opened.number)

    def _snapshots_and_visits(self) -> None:
        alias, revision = BranchType.ALIAS, BranchType.REVISION
        self.branches: dict[bytes, Branch | None] = {
            b"HEAD": Branch(alias, b"refs/heads/main"),
            b"a-cycle": Branch(alias, b"b-cycle"),
            b"b-cycle": Branch(alias, b"a-cycle"),
            b"bad\xff": Branch(BranchType.CONTENT, self.hello.sha1_git),
            b"chain": Branch(alias, b"HEAD"),
            b"dangling": None,
            b"refs/heads/main": Branch(revision, self.merge),
            b"refs/heads/tree": Branch(BranchType.DIRECTORY, self.inner),
            b"refs/tags/v1": Branch(BranchType.RELEASE, self.release),
            b"to-nothing": Branch(alias, b"dangling"),
            b"\xff\xfe": Branch(revision, self.odd),
        }
        self.snp, made = self.snapshot(self.branches)
        self.empty_snp, nothing = self.snapshot({})
        later = datetime.datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=UTC)
        self.visit(URL, nothing)
        self.visit(URL, made)
        self.visit(URL, None, VisitStatus.FAILED, date=later)
        self.visit(SPACED, nothing, visit_type="hg")
        self.visit(QUERY, made)
        self.catalog.open_visit(EMPTY_URL, "git", later)
