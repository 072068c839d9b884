"""What the contract of loaders needs of origins that are working copies."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from origins import WorkingCopy

from swhkit.testing import LoaderContract
from swhkit.testing.loaders import Change

_MADE: dict[type[WorkingCopy], str] = {}


class WorkingCopyContract(LoaderContract):
    """Set ``provider`` and ``maker``."""

    maker: ClassVar[type[WorkingCopy]]

    @pytest.fixture
    def origin(self, tmp_path_factory: pytest.TempPathFactory) -> str:
        """Made once for all tests."""
        if self.maker not in _MADE:
            made = self.maker(tmp_path_factory.mktemp("origin") / "small")
            made.history()
            _MADE[self.maker] = made.url
        return _MADE[self.maker]

    @pytest.fixture
    def changing(self, tmp_path: Path) -> tuple[str, Change]:
        made = self.maker(tmp_path / "changing")
        made.history()
        return made.url, made.more

    @pytest.fixture
    def big(self, tmp_path: Path) -> str:
        made = self.maker(tmp_path / "big")
        made.large()
        return made.url
