"""Distributions made up for tests: a folder with modules and the metadata that announces them as plugins."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent

PLUGIN = '''
from pathlib import Path

import msgspec

from swhkit.plugin import Duration, Provider, Secret, WebhookConfig, hookimpl


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys of the part."""

    path: Path | None = None
    level: int = 3
    wait: Duration = 60.0
    token: str | None = None
    hidden: Secret | None = None


class Part:
    def __init__(self, config, create=False):
        self.config, self.create, self.closed = config, create, 0

    def close(self):
        self.closed += 1


@hookimpl
def swhkit_object_stores():
    return [Provider("packs", "objects in packs", __name__ + ":Part", Config)]


@hookimpl
def swhkit_catalogs():
    return [Provider("rows", "a catalog of rows", __name__ + ":Part", Config)]


@hookimpl
def swhkit_requests():
    return [Provider("slips", "requests on slips", __name__ + ":Part", Config)]


@hookimpl
def swhkit_jobs():
    return [Provider("chores", "jobs on a board", __name__ + ":Part", Config)]


@hookimpl
def swhkit_forges():
    return [Provider("smithy", "smithies", __name__ + ":Part", Config)]


@hookimpl
def swhkit_webhooks():
    return [Provider("bell", "bells", __name__ + ":Part", WebhookConfig)]


@hookimpl
def swhkit_loaders():
    return [Provider("toy", "toys", __name__ + ":Part", Config)]


@hookimpl
def swhkit_visit_type(url):
    return "toy" if url.endswith(".toy") else None
'''


def make(
    folder: Path, name: str, points: Mapping[str, str], modules: Mapping[str, str], version: str = "1.2"
) -> Path:
    """A distribution in ``folder``: entry points (name → module) of the group, modules (name → source)."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {target}" for point, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[swhkit.v1]", *lines, ""]))
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
    return folder


def first_party(folder: Path) -> Path:
    """The project's own plugins announced as an installation would, so that tests run from a bare checkout too."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    points = project["entry-points"]["swhkit.v1"]
    return make(folder, project["name"], points, {}, project["version"])
