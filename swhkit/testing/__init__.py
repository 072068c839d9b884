"""Contracts for authors of stores and loaders, as test classes, and the samples they are tested with.

A plugin's test file subclasses the contract that fits and supplies its fixtures; pytest then runs every obligation of
``swhkit.storage``, ``swhkit.requests``, ``swhkit.jobs`` or ``swhkit.plugin.Loader`` against it.
``docs/writing-a-backend.md`` and ``docs/writing-a-loader.md`` show complete examples. Needs pytest; only tests import
this package.
"""

from __future__ import annotations

from swhkit.testing import samples
from swhkit.testing.catalog_files import DurableCatalogContract
from swhkit.testing.catalogs import CatalogContract
from swhkit.testing.jobs import DurableJobsContract, JobsContract
from swhkit.testing.loaders import LoaderContract
from swhkit.testing.object_files import DurableObjectStoreContract
from swhkit.testing.object_stores import ObjectStoreContract
from swhkit.testing.readers import Filled, ReaderContract
from swhkit.testing.requests import DurableRequestsContract, RequestsContract
from swhkit.testing.webhooks import WebhookContract

__all__ = [
    "CatalogContract",
    "DurableCatalogContract",
    "DurableJobsContract",
    "DurableObjectStoreContract",
    "DurableRequestsContract",
    "Filled",
    "JobsContract",
    "LoaderContract",
    "ObjectStoreContract",
    "ReaderContract",
    "RequestsContract",
    "WebhookContract",
    "samples",
]
