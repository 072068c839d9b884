"""Metadata of objects, external ids, extrinsic metadata, persons."""

from __future__ import annotations

import datetime
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from swhkit.manifest import emd_id
from swhkit.model import ExtId, ExtrinsicMetadata, ObjectMetadata
from swhkit.swhid import Kind, ObjectId
from swhkit_sqlite.catalog.sums import Value, insert, next_id, replace, sound, unless_sound
from swhkit_sqlite.catalog.tables import Tables, clipped, count, to_date, to_microseconds
from swhkit_sqlite.codec import groups, values

_EMD_COLUMNS = (
    "target", "discovery_date", "authority_type", "authority_url", "fetcher_name", "fetcher_version", "format",
    "origin", "visit", "snapshot", "release", "revision", "path", "directory", "metadata",
)  # fmt: skip
_EXTID = f"SELECT {sound(e='extid')}, e.type, e.version, e.value, e.kind, e.digest"


class Facts(Tables):
    """The part of a ``Catalog`` on facts about objects."""

    def metadata(self, ids: Iterable[ObjectId]) -> dict[ObjectId, ObjectMetadata]:
        """As the contract."""
        found = {}
        for group in groups(ids):
            sql = (
                f"WITH k(digest, kind) AS ({values(len(group), 2)}) SELECT {sound(m='object_metadata')}, "
                "m.kind, m.digest, m.revision_type, m.synthetic, m.metadata "
                "FROM k CROSS JOIN object_metadata m ON m.digest = k.digest AND m.kind = k.kind"
            )
            rows = self._all(_metadata, sql, [p for id in group for p in (id.digest, id.kind.value)])
            found.update({row.id: row for row in rows})
        return found

    def extids(self, type: str, values: Iterable[bytes], version: int | None = None) -> list[ExtId]:
        """As the contract."""
        joined = "e.type = ? AND e.value = k.key AND (? IS NULL OR e.version = ?)"
        return self._extids(values, joined, (type, version, version))

    def extids_of(
        self, targets: Iterable[ObjectId], type: str | None = None, version: int | None = None
    ) -> list[ExtId]:
        """As the contract."""
        wanted = set(targets)
        joined = "e.digest = k.key AND (? IS NULL OR e.type = ?) AND (? IS NULL OR e.version = ?)"
        found = self._extids((id.digest for id in wanted), joined, (type, type, version, version))
        return [one for one in found if one.target in wanted]

    def _extids(self, keys: Iterable[bytes], joined: str, parameters: tuple[object, ...]) -> list[ExtId]:
        found: dict[ExtId, None] = {}
        for group in groups(keys):
            sql = f"WITH k(key) AS ({values(len(group))}) {_EXTID} FROM k CROSS JOIN extid e ON {joined}"
            found.update(dict.fromkeys(self._all(_extid, sql, (*group, *parameters))))
        return list(found)

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
        condition, parameters = "WHERE target = ?", list[object]([target])
        if authority is not None:
            condition += " AND authority_type = ? AND authority_url = ?"
            parameters += authority
        if after is not None:
            # without an id, everything of the moment itself is left out too: 0xff × 21 is above every id
            condition += " AND (discovery_date, digest) > (?, ?)"
            parameters += [to_microseconds(after), before_id or b"\xff" * 21]
        return self._extrinsic(
            f"{condition} ORDER BY discovery_date, digest LIMIT ?", *parameters, max(limit, 0)
        )

    def extrinsic_metadata_by_id(self, id: bytes) -> ExtrinsicMetadata | None:
        """As the contract."""
        found = self._extrinsic("WHERE digest = ?", id)
        return found[0][1] if found else None

    def _extrinsic(self, condition: str, *parameters: object) -> list[tuple[bytes, ExtrinsicMetadata]]:
        good = sound(extrinsic_metadata="extrinsic_metadata")
        sql = f"SELECT {good}, digest, {', '.join(_EMD_COLUMNS)} FROM extrinsic_metadata {condition}"
        return self._all(_emd, sql, parameters)

    def authorities(self, target: str) -> list[tuple[str, str]]:
        """As the contract; in alphabetical order."""
        good = sound(e="extrinsic_metadata")
        sql = (
            f"SELECT DISTINCT {good}, e.authority_type, e.authority_url FROM extrinsic_metadata e "
            "WHERE e.target = ? ORDER BY 2, 3"
        )
        return self._all(lambda *authority: authority, sql, (target,))

    def persons(self, fullnames: Iterable[bytes]) -> dict[bytes, int]:
        """As the contract."""
        found: dict[bytes, int] = {}
        for group in groups(fullnames):
            with self._db.reading() as connection:
                rows = _person_rows(connection, group)
            if not all(good for _, _, good in rows):
                raise self._damaged("a person does not match its checksum")
            found.update({name: id for name, id, _ in rows})
        return found

    def person(self, id: int) -> bytes | None:
        """As the contract."""
        sql = f"SELECT {sound(p='person')}, p.fullname FROM person p WHERE p.id = ?"
        found = self._all(bytes, sql, (clipped(id),))
        return found[0] if found else None

    def _add_persons(self, connection: sqlite3.Connection, fullnames: Sequence[bytes]) -> int:
        new = dict.fromkeys(fullnames)
        for group in groups(fullnames):
            for name, id, good in _person_rows(connection, group):
                new.pop(name, None)
                if not good:
                    replace(connection, "person", (id, _key(name), name))
        first = next_id(connection, "person") if new else 0
        insert(connection, "person", ((id, _key(n), n) for id, n in enumerate(new, first)))
        return count(connection, "person", len(new))

    def _add_metadata(self, connection: sqlite3.Connection, rows: Sequence[ObjectMetadata]) -> int:
        return _insert(connection, "object_metadata", [
            (row.digest, row.kind.value, row.revision_type, int(row.synthetic),
             None if row.metadata is None else json.dumps(row.metadata))
            for row in rows
        ])  # fmt: skip

    def _add_extids(self, connection: sqlite3.Connection, rows: Sequence[ExtId]) -> int:
        return _insert(connection, "extid", [
            (row.type, row.value, row.version, row.kind.value, row.digest) for row in rows
        ])  # fmt: skip

    def _add_extrinsic(self, connection: sqlite3.Connection, rows: Sequence[ExtrinsicMetadata]) -> int:
        first = next_id(connection, "extrinsic_metadata") if rows else 0
        numbered = enumerate(rows, first)
        return _insert(
            connection, "extrinsic_metadata", [(id, emd_id(row), *_emd_columns(row)) for id, row in numbered]
        )


def _metadata(kind: str, digest: bytes, type: str | None, synthetic: int, text: str | None) -> ObjectMetadata:
    return ObjectMetadata(
        Kind(kind), digest, type, bool(synthetic), None if text is None else json.loads(text)
    )


def _extid(type: str, version: int, value: bytes, kind: str, digest: bytes) -> ExtId:
    return ExtId(type, version, value, Kind(kind), digest)


def _emd(digest: bytes, *columns: Any) -> tuple[bytes, ExtrinsicMetadata]:
    fields = dict(zip(_EMD_COLUMNS, columns, strict=True))
    fields["discovery_date"] = to_date(fields["discovery_date"])
    record = ExtrinsicMetadata(**fields)
    if emd_id(record) != digest:
        raise ValueError(f"the metadata record {digest.hex()} is not what was stored")
    return digest, record


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Value, ...]]) -> int:
    """Insert rows; the number of those that were new, or replaced a damaged one."""
    return insert(connection, table, rows, unless_sound(table)) if rows else 0


def _emd_columns(record: ExtrinsicMetadata) -> list[Value]:
    return [
        to_microseconds(record.discovery_date) if name == "discovery_date" else getattr(record, name)
        for name in _EMD_COLUMNS
    ]


def _person_rows(connection: sqlite3.Connection, fullnames: Sequence[bytes]) -> list[tuple[bytes, int, bool]]:
    """(name, number, whether the row is sound) of those known.

    The index is on a short hash, because a name may have a megabyte.
    """
    sql = (
        f"WITH k(place, key) AS ({values(len(fullnames), 2)}) SELECT k.place, p.id, p.fullname, {sound(p='person')} "
        "FROM k CROSS JOIN person p ON p.key = k.key"
    )
    keys = [part for place, name in enumerate(fullnames) for part in (place, _key(name))]
    rows = connection.execute(sql, keys).fetchall()
    return [
        (fullnames[place], id, bool(good))
        for place, id, name, good in rows
        if fullnames[place] == name or not good
    ]


def _key(fullname: bytes) -> bytes:
    return hashlib.sha256(fullname).digest()[:8]
