"""What the archive knows of objects beyond their bytes: metadata, external ids, what others say, persons."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from functools import partial
from urllib.parse import quote

from swhkit.errors import InvalidInput, InvalidSwhid, Unreachable
from swhkit.manifest import emd_id
from swhkit.model import ExtId, ExtrinsicMetadata, ObjectMetadata
from swhkit.storage import READ_LIMIT
from swhkit.swhid import Kind, ObjectId, parse_core
from swhkit_remote.answers import NoEndpoint, NotThere
from swhkit_remote.batches import batches
from swhkit_remote.client import Client
from swhkit_remote.escapes import literal, readings
from swhkit_remote.memory import Memory
from swhkit_remote.paging import Progress, next_query
from swhkit_remote.shapes import (
    AuthorityJson,
    ExtIdJson,
    ExtrinsicJson,
    PersonJson,
    ReleaseJson,
    RevisionJson,
    metadata_of,
)

BATCH = 1000
_RECORDS_MAX, _PEOPLE_MAX = 1000, 10_000
_TICK = datetime.timedelta(microseconds=1)
_GET = re.compile(r"/raw-extrinsic-metadata/get/([0-9a-f]{40})/")
_HUGE = 1 << 63


class Facts:
    """The part of the catalog on objects and persons."""

    def __init__(self, client: Client) -> None:
        self._client = client
        #: Metadata records that were listed, by id: the web API gives a single one without its context.
        self._records: Memory[bytes, ExtrinsicMetadata] = Memory(_RECORDS_MAX)
        #: Numbers of persons that came with revisions and releases.
        self._people: Memory[bytes, int] = Memory(_PEOPLE_MAX)

    # --- objects ---

    def metadata(self, ids: Iterable[ObjectId]) -> dict[ObjectId, ObjectMetadata]:
        """As the contract, one question each; there is no row for what is plain git."""
        self._client.check_open()
        found: dict[ObjectId, ObjectMetadata] = {}
        for batch in batches(ids, BATCH):
            wanted = [id for id in batch if id.kind in (Kind.REVISION, Kind.RELEASE) and id not in found]
            rows = self._client.each(self._metadata, wanted)
            found.update((id, row) for id, row in zip(wanted, rows, strict=True) if row is not None)
        return found

    def _metadata(self, id: ObjectId) -> ObjectMetadata | None:
        path, kind = f"{id.kind.word}/{id.hex}/", None
        try:
            if id.kind is Kind.REVISION:
                revision, _ = self._client.json(path, RevisionJson)
                kind, synthetic, metadata = revision.type, revision.synthetic, metadata_of(revision.metadata)
                self._meet(revision.author, revision.committer)
            else:
                release, _ = self._client.json(path, ReleaseJson)
                synthetic, metadata = release.synthetic, metadata_of(release.metadata)
                self._meet(release.author)
        except NotThere:
            return None
        if kind in (None, "git") and not synthetic and not metadata:
            return None
        return ObjectMetadata(id.kind, id.digest, kind, synthetic, metadata)

    def _meet(self, *people: PersonJson | None) -> None:
        for person in people:
            if person is not None and person.id:
                self._people.keep(_fullname(person), person.id)

    # --- external ids ---

    def extids(self, type: str, values: Iterable[bytes], version: int | None = None) -> list[ExtId]:
        """As the contract, one question each; without a version the web API tells one (the highest), not all."""
        self._client.check_open()
        found: dict[ExtId, None] = {}
        for batch in batches(values, BATCH):
            for one in self._client.each(partial(self._extid, type, version), batch):
                if one is not None:
                    found[one] = None
        return list(found)

    def extids_of(
        self, targets: Iterable[ObjectId], type: str | None = None, version: int | None = None
    ) -> list[ExtId]:
        """As the contract, one question each."""
        self._client.check_open()
        found: dict[ExtId, None] = {}
        for batch in batches(targets, BATCH):
            for some in self._client.each(self._extids_of, batch):
                fit = [o for o in some if type in (None, o.type) and version in (None, o.version)]
                found.update(dict.fromkeys(fit))
        return list(found)

    def _extid(self, type: str, version: int | None, value: bytes) -> ExtId | None:
        if not type or not value:
            return None
        if "/" in type:
            raise InvalidInput(f"{self._client.url} cannot be asked for external ids of type {type!r}")
        query = {} if version is None else {"extid_version": version}
        try:
            told, _ = self._client.json(f"extid/{_segment(type)}/hex:{value.hex()}/", ExtIdJson, query)
        except NotThere:
            return None
        one = self._extid_of(told)
        if (one.type, one.value) != (type, value) or version not in (None, one.version):
            raise Unreachable(f"{self._client.url} told of another external id than {type} {value.hex()}")
        return one

    def _extids_of(self, target: ObjectId) -> list[ExtId]:
        try:
            told, _ = self._client.json(
                f"extid/target/{target}/", tuple[ExtIdJson, ...], {"extid_format": "hex"}
            )
        except NotThere:
            return []
        found = [self._extid_of(one) for one in told]
        if any(one.target != target for one in found):
            raise Unreachable(f"{self._client.url} told of external ids of another object than {target}")
        return found

    def _extid_of(self, told: ExtIdJson) -> ExtId:
        try:
            target, value = parse_core(told.target), bytes.fromhex(told.extid)
        except (InvalidSwhid, ValueError):
            raise Unreachable(f"{self._client.url} told of an external id that is none") from None
        return ExtId(told.extid_type, told.extid_version, value, target.kind, target.digest)

    # --- extrinsic metadata ---

    def extrinsic_metadata(
        self,
        target: str,
        authority: tuple[str, str] | None = None,
        *,
        after: datetime.datetime | None = None,
        before_id: bytes | None = None,
        limit: int = 100,
    ) -> list[tuple[bytes, ExtrinsicMetadata]]:
        """As the contract; every record hashes to its id. The bytes of each are a question of their own."""
        self._client.check_open()
        if limit <= 0:
            return []
        who = self.authorities(target) if authority is None else [authority]
        listed: list[tuple[bytes, ExtrinsicJson]] = []
        for one in who:
            listed += self._said(target, one, after, before_id, limit)
        listed.sort(key=lambda pair: (pair[1].discovery_date, pair[0]))
        records = self._client.each(partial(self._record, target), listed[:limit])
        return [(id, record) for (id, _), record in zip(listed, records, strict=False)]

    def extrinsic_metadata_by_id(self, id: bytes) -> ExtrinsicMetadata | None:
        """As the contract, for records that were listed here before: the web API gives the bytes of a single one
        without saying what they are about. Raises ``InvalidInput`` for others that it has."""
        self._client.check_open()
        known = self._records.find(id)
        if known is not None or len(id) != 20:
            return known
        try:
            self._client.binary(f"raw-extrinsic-metadata/get/{id.hex()}/").close()
        except NotThere:
            return None
        raise InvalidInput(
            f"{self._client.url} has metadata {id.hex()}, but does not tell what it is about: list it by its target"
        )

    def authorities(self, target: str) -> list[tuple[str, str]]:
        """As the contract."""
        self._client.check_open()
        path = f"raw-extrinsic-metadata/swhid/{_segment(target)}/authorities/"
        try:
            told, _ = self._client.json(path, tuple[AuthorityJson, ...])
        except NotThere:
            return []
        return sorted({(one.type, one.url) for one in told})

    def _said(
        self,
        target: str,
        authority: tuple[str, str],
        after: datetime.datetime | None,
        before_id: bytes | None,
        limit: int,
    ) -> list[tuple[bytes, ExtrinsicJson]]:
        """Records of one authority behind a place, without their bytes."""
        query: dict[str, str | int] = {"authority": " ".join(authority), "limit": min(limit, _RECORDS_MAX)}
        if after is not None:
            # What was discovered in the very same moment comes, too, if an id tells where in it to begin.
            query["after"] = (after if before_id is None else after - _TICK).isoformat()
        found: list[tuple[bytes, ExtrinsicJson]] = []
        progress = Progress(self._client.url)
        path = f"raw-extrinsic-metadata/swhid/{_segment(target)}/"
        while len(found) < limit:
            try:
                told, headers = self._client.json(path, tuple[ExtrinsicJson, ...], query)
            except NotThere:
                break
            page = [(self._id_of(one), one) for one in told]
            if after is not None:
                place = (after, before_id or b"\xff" * 21)
                page = [(id, one) for id, one in page if (one.discovery_date, id) > place]
            found += page
            following = next_query(headers, self._client.url)
            if following is None:
                break
            query = {**query, **following}
            progress.step(following.get("page_token"))
        return found[:limit]

    def _id_of(self, told: ExtrinsicJson) -> bytes:
        match = _GET.search(told.metadata_url)
        if match is None:
            raise Unreachable(f"{self._client.url} told of metadata without saying where it is")
        return bytes.fromhex(match[1])

    def _record(self, target: str, listed: tuple[bytes, ExtrinsicJson]) -> ExtrinsicMetadata:
        id, told = listed
        known = self._records.find(id)
        if known is not None:
            return known
        data = self._client.binary(f"raw-extrinsic-metadata/get/{id.hex()}/").read(READ_LIMIT)
        for path in [None] if told.path is None else readings(told.path):
            record = _record_of(target, told, path, data)
            if emd_id(record) == id:
                self._records.keep(id, record)
                return record
        raise Unreachable(
            f"metadata {id.hex()} of {self._client.url} does not hash to its id: it was not used"
        )

    # --- persons ---

    def persons(self, fullnames: Iterable[bytes]) -> dict[bytes, int]:
        """The numbers of persons of objects whose ``metadata`` was asked for before, from archives that have such
        numbers: the web API finds nobody by name."""
        self._client.check_open()
        numbers = ((name, self._people.find(name)) for name in fullnames)
        return {name: number for name, number in numbers if number is not None}

    def person(self, id: int) -> bytes | None:
        """As the contract, from archives that give persons numbers; None elsewhere."""
        self._client.check_open()
        if not 1 <= id < _HUGE:
            return None
        try:
            told, _ = self._client.json(f"person/{id}/", PersonJson)
        except (NotThere, NoEndpoint):
            return None
        return _fullname(told)


def _fullname(told: PersonJson) -> bytes:
    return readings(told.fullname, told.failed("fullname"))[0]


def _record_of(target: str, told: ExtrinsicJson, path: bytes | None, data: bytes) -> ExtrinsicMetadata:
    return ExtrinsicMetadata(
        target=target,
        discovery_date=told.discovery_date.astimezone(datetime.UTC),
        authority_type=told.authority.type,
        authority_url=told.authority.url,
        fetcher_name=told.fetcher.name,
        fetcher_version=told.fetcher.version,
        format=told.format,
        metadata=data,
        origin=told.origin,
        visit=told.visit,
        snapshot=told.snapshot,
        release=told.release,
        revision=told.revision,
        path=path,
        directory=told.directory,
    )


def _segment(text: str) -> str:
    return quote(literal(text), safe=":")
