"""Archives for tests: each kind of store, through the description its plugin gives of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from swhkit import manifest
from swhkit.archive import Archive
from swhkit.closure import Walk, held_bodies
from swhkit.net import Network
from swhkit.plugin import Provider
from swhkit.swhid import Kind, ObjectId

KINDS = ("filesystem", "sqlite", "memory")


def build(provider: Provider, create: bool = True, **settings: Any) -> Any:
    """What a provider's factory makes of these settings."""
    module, _, name = provider.factory.partition(":")
    config = msgspec.convert(settings, provider.config, dec_hook=lambda type, value: type(value))
    return getattr(importlib.import_module(module), name)(config, create)


@contextmanager
def archive(kind: str, folder: Path) -> Iterator[Archive]:
    """An archive in ``folder`` whose objects are kept in ``kind``; the catalog is SQLite but for ``memory``."""
    stores = importlib.import_module(f"swhkit_{kind}")
    catalogs = importlib.import_module("swhkit_memory" if kind == "memory" else "swhkit_sqlite")
    names = {"filesystem": "objects", "sqlite": "objects.sqlite"}
    settings: dict[str, Any] = {"path": folder / names[kind]} if kind in names else {}
    objects = build(stores.swhkit_object_stores()[0], **settings)
    settings = {} if kind == "memory" else {"path": folder / "catalog.sqlite"}
    opened = Archive(objects, build(catalogs.swhkit_catalogs()[0], **settings), folder / "stage")
    try:
        yield opened
    finally:
        opened.close()


def shell() -> Network:
    """The network policy of the command line."""
    return Network(from_cli=True)


def unheld(archive: Archive, snapshot: bytes, scratch: Path) -> set[str]:
    """SWHIDs below a snapshot that the archive does not hold, found by walking it object by object."""
    known = archive.catalog.snapshot(snapshot)
    assert known is not None, f"snapshot {snapshot.hex()} is not known"
    scratch.mkdir(exist_ok=True)
    with Walk(scratch, partial(held_bodies, archive.objects)) as walk:
        walk.run(id for id in manifest.edges_of_snapshot(known) if id.kind is not Kind.SNAPSHOT)
        contents = archive.missing(ObjectId(Kind.CONTENT, digest) for digest in walk.contents())
        return {str(id) for id, _ in walk.absent()} | {str(id) for id in contents}
