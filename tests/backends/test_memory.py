"""The stores in memory keep the contracts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import swhkit_memory
from swhkit.plugin import NoConfig
from swhkit.storage import Catalog, GitDirectory, ObjectStore
from swhkit.swhid import ObjectId
from swhkit.testing import CatalogContract, ObjectStoreContract
from swhkit.testing.object_stores import Damage
from swhkit_memory.objects import MemoryObjects


class TestMemoryObjects(ObjectStoreContract):
    #: The content itself is in memory, in parts and joined.
    spare_memory = 700 << 20

    @pytest.fixture
    def store(self) -> Iterator[ObjectStore]:
        store = swhkit_memory.open_objects(NoConfig(), True)
        yield store
        store.close()

    @pytest.fixture
    def damage(self) -> Damage:
        def damage(store: ObjectStore, id: ObjectId) -> None:
            assert isinstance(store, MemoryObjects)
            body = bytearray(store._bodies[id])
            body[-1] ^= 1
            store._bodies[id] = bytes(body)

        return damage

    def test_it_is_no_git_directory(self, store: ObjectStore) -> None:
        assert not isinstance(store, GitDirectory)


class TestMemoryCatalog(CatalogContract):
    @pytest.fixture
    def catalog(self) -> Iterator[Catalog]:
        catalog = swhkit_memory.open_catalog(NoConfig(), True)
        yield catalog
        catalog.close()


def test_both_are_provided_by_name() -> None:
    providers = [*swhkit_memory.swhkit_object_stores(), *swhkit_memory.swhkit_catalogs()]
    assert [provider.name for provider in providers] == ["memory", "memory"]
    for provider in providers:
        module, _, name = provider.factory.partition(":")
        assert (module, callable(getattr(swhkit_memory, name))) == ("swhkit_memory", True)
