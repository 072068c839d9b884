"""The Bazaar loader keeps the contract of loaders."""

from __future__ import annotations

from contract_origins import WorkingCopyContract
from origins import Bazaar

from swhkit_bzr import swhkit_loaders


class TestBazaar(WorkingCopyContract):
    (provider,) = swhkit_loaders()
    maker = Bazaar
