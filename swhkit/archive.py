"""The archive: objects and catalog behind one door.

It promises what neither store can alone: *a content is held iff its bytes and its row exist*. Everything that asks
whether something is held asks here. Bytes come in through ``swhkit.stage`` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

from swhkit.errors import InvalidInput
from swhkit.model import ContentRow
from swhkit.storage import Catalog, CatalogReader, GitDirectory, ObjectReader, ObjectStore
from swhkit.swhid import Kind, ObjectId


class Archive:
    """Objects, catalog and the folder where visits are staged (None for an archive that is only read)."""

    def __init__(self, objects: ObjectReader, catalog: CatalogReader, stage: Path | None) -> None:
        self.objects = objects
        self.catalog = catalog
        self.stage = stage

    @property
    def writable(self) -> bool:
        """Whether visits can be made: both stores take things and there is a folder to stage them."""
        return self.stage is not None and hasattr(self.objects, "adopt") and hasattr(self.catalog, "publish")

    def writer(self) -> tuple[ObjectStore, Catalog, Path]:
        """The stores as writers, and the stage's folder. Raises ``InvalidInput`` for a read-only archive."""
        if not self.writable:
            raise InvalidInput(
                "this archive is read-only by its configuration; nothing can be loaded into it"
            )
        return cast(ObjectStore, self.objects), cast(Catalog, self.catalog), cast(Path, self.stage)

    @property
    def git_dir(self) -> Path | None:
        """The git directory of the object store, None where it has none."""
        return self.objects.git_dir if isinstance(self.objects, GitDirectory) else None

    def missing(self, ids: Iterable[ObjectId]) -> set[ObjectId]:
        """Those not held. Contents are the catalog's to answer, all else the object store's."""
        contents: list[bytes] = []
        snapshots: list[bytes] = []
        others: list[ObjectId] = []
        for id in ids:
            if id.kind is Kind.CONTENT:
                contents.append(id.digest)
            elif id.kind is Kind.SNAPSHOT:
                snapshots.append(id.digest)
            else:
                others.append(id)
        missing = self.objects.missing(others) if others else set()
        missing |= {ObjectId(Kind.CONTENT, d) for d in self.catalog.missing_contents(contents)}
        missing |= {ObjectId(Kind.SNAPSHOT, d) for d in self.catalog.missing_snapshots(snapshots)}
        return missing

    def read(self, ids: Iterable[ObjectId]) -> dict[ObjectId, bytes]:
        """Bodies of the held ones among cnt, dir, rev and rel; errors as ``ObjectReader.read``."""
        wanted = list(dict.fromkeys(ids))
        without_row = self._without_row(wanted)
        return self.objects.read(id for id in wanted if id not in without_row)

    def stream(self, id: ObjectId) -> Iterator[bytes]:
        """A body in pieces; errors as ``ObjectReader.stream``. The caller has asked ``missing`` or ``content``."""
        return self.objects.stream(id)

    def content(self, sha1_git: bytes) -> ContentRow | None:
        """The row of a content, visible or absent."""
        return self.catalog.contents((sha1_git,)).get(sha1_git)

    def close(self) -> None:
        """Close both stores."""
        self.objects.close()
        self.catalog.close()

    def _without_row(self, ids: list[ObjectId]) -> set[ObjectId]:
        contents = [id.digest for id in ids if id.kind is Kind.CONTENT]
        if not contents:
            return set()
        return {ObjectId(Kind.CONTENT, digest) for digest in self.catalog.missing_contents(contents)}
