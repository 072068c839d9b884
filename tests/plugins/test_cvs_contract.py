"""The CVS loader keeps the contract of loaders."""

from __future__ import annotations

from contract_origins import WorkingCopyContract
from origins import Cvs

from swhkit_cvs import swhkit_loaders


class TestCvs(WorkingCopyContract):
    (provider,) = swhkit_loaders()
    maker = Cvs
