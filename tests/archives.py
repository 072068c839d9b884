"""Archives for tests: each kind of store, through the description its plugin gives of it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from swhkit.archive import Archive
from swhkit.net import Network
from swhkit.plugin import Provider
from swhkit.testing.visits import unheld as unheld

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
