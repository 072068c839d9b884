"""The part of the memory catalog that ``add`` fills: contents, metadata, external ids, persons."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec

from swhkit.errors import NotHeld
from swhkit.hashes import HashName
from swhkit.manifest import emd_id
from swhkit.model import ContentRow, ExtId, ExtrinsicMetadata, ObjectMetadata, PersonRow
from swhkit.storage import TRANSACTION_ROWS, Added, Record
from swhkit.swhid import ObjectId

_COUNTERS = (
    "content",
    "directory",
    "origin",
    "origin_visit",
    "person",
    "release",
    "revision",
    "skipped_content",
    "snapshot",
)


class Records:
    """Facts that are true by themselves. Each method takes the one lock of the catalog."""

    def __init__(self) -> None:
        self._lock, self._closed = threading.RLock(), False
        self._contents: dict[bytes, ContentRow] = {}
        self._metadata: dict[ObjectId, ObjectMetadata] = {}
        self._extids: dict[ExtId, None] = {}
        self._emd: dict[bytes, ExtrinsicMetadata] = {}
        self._persons: dict[bytes, int] = {}
        self._counters = dict.fromkeys(_COUNTERS, 0)

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise ValueError("the catalog is closed")
            yield

    def _count(self, name: str, by: int) -> int:
        self._counters[name] += by
        return by

    def add(self, records: Iterable[Record]) -> Added:
        """As the contract."""
        self.counters()
        records, total = iter(records), Added()
        while batch := list(islice(records, TRANSACTION_ROWS)):
            with self._open():
                before = dict(self._counters), self._others()
                for record in batch:
                    self._take(record)
                total = self._sum(total, *before)
        return total

    def _others(self) -> int:
        return len(self._metadata) + len(self._extids) + len(self._emd)

    def _sum(self, total: Added, counters: dict[str, int], others: int) -> Added:
        now = self._counters
        return Added(
            content=total.content + now["content"] - counters["content"],
            skipped_content=total.skipped_content
            + max(0, now["skipped_content"] - counters["skipped_content"]),
            person=total.person + now["person"] - counters["person"],
            other=total.other + self._others() - others,
        )

    def _take(self, record: Record) -> None:
        if isinstance(record, ContentRow):
            self._take_content(record)
        elif isinstance(record, PersonRow):
            if record.fullname not in self._persons:
                self._persons[record.fullname] = len(self._persons) + 1
                self._count("person", 1)
        elif isinstance(record, ObjectMetadata):
            self._metadata.setdefault(record.id, record)
        elif isinstance(record, ExtId):
            self._extids.setdefault(record)
        else:
            utc = record.discovery_date.astimezone(datetime.UTC)
            self._emd.setdefault(emd_id(record), msgspec.structs.replace(record, discovery_date=utc))

    def _take_content(self, row: ContentRow) -> None:
        held = self._contents.get(row.sha1_git)
        if held is None:
            self._count(_counter(row), 1)
        elif held.status == row.status or row.status != "visible" or _digests(held) != _digests(row):
            return
        else:
            self._count("skipped_content", -1)
            self._count("content", 1)
        self._contents[row.sha1_git] = row

    def remove_contents(self, sha1_gits: Iterable[bytes]) -> int:
        """As the contract."""
        with self._open():
            rows = [self._contents.pop(id) for id in set(sha1_gits) if id in self._contents]
            for row in rows:
                self._count(_counter(row), -1)
            return len(rows)

    def contents(self, sha1_gits: Iterable[bytes]) -> dict[bytes, ContentRow]:
        """As the contract."""
        with self._open():
            return {id: self._contents[id] for id in sha1_gits if id in self._contents}

    def missing_contents(self, sha1_gits: Iterable[bytes]) -> set[bytes]:
        """As the contract."""
        ids = set(sha1_gits)
        return ids - {id for id, row in self.contents(ids).items() if row.status == "visible"}

    def find_contents(self, algorithm: HashName, digests: Iterable[bytes]) -> dict[bytes, list[ContentRow]]:
        """As the contract."""
        wanted, found = set(digests), dict[bytes, list[ContentRow]]()
        with self._open():
            for row in self._contents.values():
                digest: bytes = getattr(row, algorithm)
                if digest in wanted:
                    found.setdefault(digest, []).append(row)
        return found

    def scan_contents(self, after: bytes | None = None, limit: int = 1000) -> list[ContentRow]:
        """In the order of arrival. Raises ``NotHeld`` if the row to resume after is gone."""
        with self._open():
            if after is not None and after not in self._contents:
                raise NotHeld(f"the content row {after.hex()} to resume after is gone: begin the scan again")
            ids = list(self._contents)
            start = 0 if after is None else ids.index(after) + 1
            return [self._contents[id] for id in ids[start : start + max(limit, 0)]]

    def metadata(self, ids: Iterable[ObjectId]) -> dict[ObjectId, ObjectMetadata]:
        """As the contract."""
        with self._open():
            return {id: self._metadata[id] for id in ids if id in self._metadata}

    def extids(self, type: str, values: Iterable[bytes], version: int | None = None) -> list[ExtId]:
        """As the contract."""
        wanted = set(values)
        with self._open():
            return [
                one for one in self._extids
                if one.type == type and one.value in wanted and version in (None, one.version)
            ]  # fmt: skip

    def extids_of(
        self, targets: Iterable[ObjectId], type: str | None = None, version: int | None = None
    ) -> list[ExtId]:
        """As the contract."""
        wanted = set(targets)
        with self._open():
            return [
                one for one in self._extids
                if one.target in wanted and type in (None, one.type) and version in (None, one.version)
            ]  # fmt: skip

    def extrinsic_metadata(
        self,
        target: str,
        authority: tuple[str, str] | None = None,
        *,
        after: datetime.datetime | None = None,
        before_id: bytes | None = None,
        limit: int = 100,
    ) -> list[tuple[bytes, ExtrinsicMetadata]]:
        """As the contract."""
        with self._open():
            rows = [
                (record.discovery_date, id) for id, record in self._emd.items()
                if record.target == target and authority in (None, (record.authority_type, record.authority_url))
            ]  # fmt: skip
            if after is not None:
                # without an id, everything of the moment itself is left out too: 0xff × 21 is above every id
                rows = [row for row in rows if row > (after, before_id or b"\xff" * 21)]
            return [(id, self._emd[id]) for _, id in sorted(rows)[: max(limit, 0)]]

    def extrinsic_metadata_by_id(self, id: bytes) -> ExtrinsicMetadata | None:
        """As the contract."""
        with self._open():
            return self._emd.get(id)

    def authorities(self, target: str) -> list[tuple[str, str]]:
        """As the contract."""
        with self._open():
            return sorted(
                {(r.authority_type, r.authority_url) for r in self._emd.values() if r.target == target}
            )

    def persons(self, fullnames: Iterable[bytes]) -> dict[bytes, int]:
        """As the contract."""
        with self._open():
            return {name: self._persons[name] for name in fullnames if name in self._persons}

    def person(self, id: int) -> bytes | None:
        """As the contract."""
        with self._open():
            return next((name for name, number in self._persons.items() if number == id), None)

    def counters(self) -> dict[str, int]:
        """As the contract."""
        with self._open():
            return dict(self._counters)


def _counter(row: ContentRow) -> str:
    return "content" if row.status == "visible" else "skipped_content"


def _digests(row: ContentRow) -> tuple[bytes, bytes, bytes, int]:
    return row.sha1, row.sha256, row.blake2s256, row.length
