"""The Subversion loader keeps the contract of loaders."""

from __future__ import annotations

from contract_origins import WorkingCopyContract
from origins import Subversion

from swhkit_svn import swhkit_loaders


class TestSubversion(WorkingCopyContract):
    (provider,) = swhkit_loaders()
    maker = Subversion
