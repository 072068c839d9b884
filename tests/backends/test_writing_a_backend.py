"""The example of ``docs/writing-a-backend.md`` runs as it stands, and keeps the contract it is about."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from swhkit import testing
from swhkit.errors import Corrupt, InvalidInput, NotHeld
from swhkit.testing import samples

PAGE = (Path(__file__).parents[2] / "docs/writing-a-backend.md").read_text()
EXAMPLE, TESTS, *_ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def module_of(name: str, source: str) -> ModuleType:
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"docs/writing-a-backend.md:{name}", "exec"), module.__dict__)
    return module


zipped = module_of("zipped", EXAMPLE)
TestZipReader = module_of("zipped_contract", TESTS).TestZipReader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    one = samples.contents(1)[0]
    with zipfile.ZipFile(tmp_path / "objects.zip", "w") as file:
        file.writestr(f"cnt/{one.id.hex}", one.body)
        file.writestr(f"cnt/{samples.UNKNOWN.hex}", b"forged")
        file.writestr("../../cnt/elsewhere", b"no object")
    return tmp_path / "objects.zip"


def test_the_example_describes_itself() -> None:
    (provider,) = zipped.swhkit_object_stores()
    assert (provider.name, provider.factory, provider.config) == ("zip", "zipped:open_zip", zipped.ZipConfig)


def test_the_example_refuses_what_a_reader_must_refuse(path: Path, tmp_path: Path) -> None:
    reader = zipped.open_zip(zipped.ZipConfig(path), False)
    assert len(reader.scan()) == 2
    with pytest.raises(Corrupt, match=samples.UNKNOWN.hex):
        reader.read([samples.UNKNOWN])
    reader.close()
    with pytest.raises(NotHeld):
        zipped.open_zip(zipped.ZipConfig(tmp_path / "gone.zip"), False)
    with pytest.raises(InvalidInput):
        zipped.open_zip(zipped.ZipConfig(tmp_path / "gone.zip"), True)
    (tmp_path / "bad.zip").write_bytes(b"no zip file")
    with pytest.raises(Corrupt, match=r"bad\.zip"):
        zipped.open_zip(zipped.ZipConfig(tmp_path / "bad.zip"), False)


def test_every_contract_of_a_store_is_named_on_the_page() -> None:
    others = {"ForgeContract", "ForgePartsContract", "LoaderContract", "WebhookContract"}
    contracts = [name for name in testing.__all__ if name.endswith("Contract") and name not in others]
    assert len(contracts) == 12
    assert [name for name in contracts if f"`{name}`" not in PAGE] == []
