"""Contracts for authors of stores, loaders, forges and webhooks, as test classes, and the samples they are tested with.

A plugin's test file subclasses the contract that fits and supplies its fixtures; pytest then runs every obligation of
``swhkit.storage``, ``swhkit.requests``, ``swhkit.jobs``, ``swhkit.plugin.Loader`` or ``Forge`` against it.
``docs/writing-a-backend.md``, ``docs/writing-a-loader.md`` and ``docs/writing-a-forge.md`` show complete examples. Needs
pytest; only tests import this package.
"""

from __future__ import annotations

from swhkit.testing import samples
from swhkit.testing.catalog_files import DurableCatalogContract
from swhkit.testing.catalogs import CatalogContract
from swhkit.testing.forge_parts import ForgePartsContract
from swhkit.testing.forge_requests import ForgeRequestsContract
from swhkit.testing.forges import ForgeContract
from swhkit.testing.jobs import DurableJobsContract, JobsContract
from swhkit.testing.loaders import LoaderContract
from swhkit.testing.object_files import DurableObjectStoreContract
from swhkit.testing.object_stores import ObjectStoreContract
from swhkit.testing.readers import Filled, ReaderContract
from swhkit.testing.request_files import DurableRequestsContract
from swhkit.testing.requests import RequestsContract
from swhkit.testing.saves import SavesContract
from swhkit.testing.schedule import ScheduleContract
from swhkit.testing.webhooks import WebhookContract

__all__ = [
    "CatalogContract",
    "DurableCatalogContract",
    "DurableJobsContract",
    "DurableObjectStoreContract",
    "DurableRequestsContract",
    "Filled",
    "ForgeContract",
    "ForgePartsContract",
    "ForgeRequestsContract",
    "JobsContract",
    "LoaderContract",
    "ObjectStoreContract",
    "ReaderContract",
    "RequestsContract",
    "SavesContract",
    "ScheduleContract",
    "WebhookContract",
    "samples",
]
