"""The configuration: one YAML file, decoded into frozen structs, every key of which something reads.

``load`` finds the file, loads the plugins it asks for, and gives a ``Configuration``; or raises one ``ConfigError``
with a line for each thing that is wrong. Without a file everything has its default, relative to the current folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from swhkit.config.decode import Decoder
from swhkit.config.keeping import JobsSettings, SaveSettings, ScheduleSettings
from swhkit.config.parts import ForgeEntry, ForgeList, Part, PartOf, PartTable
from swhkit.config.yamlsource import MAX_BYTES, Node, Problem, parse
from swhkit.errors import ConfigError, PluginError
from swhkit.net import When
from swhkit.plugin import Limits
from swhkit.registry import Registry
from swhkit.units import AddressRange, Listen, Rate, WebAddress

#: The file that is read when none is named, and the variable that names one.
FILE_NAME = "swhkit.yaml"
VARIABLE = "SWHKIT_CONFIG"

Scheme = Literal["https", "http", "git", "ssh", "svn", "svn+ssh", "rsync", "pserver", "bzr", "bzr+ssh", "ftp"]


def _doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class ArchiveSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the archive is kept."""

    objects: Annotated[
        Part,
        PartOf("object store", backend="filesystem", path="archive/objects"),
        _doc("The store of immutable objects: contents, directories, revisions, releases."),
    ]
    catalog: Annotated[
        Part,
        PartOf("catalog", backend="sqlite", path="archive/catalog.sqlite"),
        _doc("What the archive knows: origins, visits, snapshots, digests of contents, metadata."),
    ]
    requests: Annotated[
        Part,
        PartOf("request store", backend="sqlite", path="archive/requests.sqlite"),
        _doc(
            "What people ask for, and what is kept up to date: access tokens, requests to save code and to add forges, "
            "forges with their listings, how fresh origins are. Made when it is first needed."
        ),
    ]
    jobs: Annotated[
        Part,
        PartOf("job store", backend="sqlite", path="archive/jobs.sqlite"),
        _doc("What is to be done: visits and listings, with leases. Made when it is first needed."),
    ]
    stage: Annotated[
        Path,
        _doc("A folder where the objects of running visits gather. Best on the file system of the objects."),
    ] = Path("archive/stage")


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many requests of a scope a client may make in a second (s), minute (m), hour (h) or day (d): those of the
    public archive. A name that ends in a method is for that method alone."""

    swh_api: Rate = "120/h"
    swh_api_origin_search: Rate = "10/m"
    swh_api_origin_visit_latest: Rate = "700/m"
    swh_api_metadata_citation: Rate = "60/m"
    swh_raw_object: Rate = "120/h"
    swh_save_origin: Rate = "120/h"
    swh_save_origin_post: Rate = "10/h"
    swh_vault_cooking: Rate = "120/h"
    swh_vault_cooking_get: Rate = "60/m"


class ThrottlingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many requests a client may make. Users with a token may make ten times as many."""

    factor: Annotated[
        float | None,
        msgspec.Meta(ge=0, le=1e6, description="All rates are multiplied by it; null or 0 is no limits."),
    ] = 100.0
    exempt_networks: Annotated[
        tuple[AddressRange, ...], _doc("Clients with these addresses are not limited.")
    ] = ("127.0.0.0/8", "::1/128")
    rates: Rates = Rates()


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `swhkit serve` does."""

    listen: Annotated[Listen, _doc("Where to listen; port 0 picks a free one.")] = "127.0.0.1:5080"
    public_url: Annotated[
        WebAddress | None,
        _doc("The address clients use, if a proxy stands in front; links in answers begin with it."),
    ] = None
    trusted_proxies: Annotated[
        tuple[AddressRange, ...],
        _doc(
            "Addresses of proxies in front. What they say of a client (X-Forwarded-For, X-Forwarded-Proto, "
            "X-Forwarded-Host, Forwarded) is believed."
        ),
    ] = ()
    access_log: Annotated[
        bool, _doc("Whether each request gets a line on standard error, without passwords and tokens.")
    ] = False
    metrics_networks: Annotated[
        tuple[AddressRange, ...],
        _doc("Clients with these addresses may read /metrics; tokens of staff may from anywhere."),
    ] = ("127.0.0.0/8", "::1/128")
    throttling: ThrottlingSettings = ThrottlingSettings()


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which addresses may be visited. `cli` means: only when typed at the shell."""

    private_addresses: Annotated[
        When, _doc("Hosts with loopback, link-local and private addresses: never, cli or always.")
    ] = "cli"
    schemes: Annotated[
        tuple[Scheme, ...],
        _doc("URL schemes of origins. ssh is allowed at the shell even when it is not listed."),
    ] = ("https", "http", "git", "svn", "rsync", "pserver", "bzr", "ftp")
    local_paths: Annotated[When, _doc("Origins that are paths of this machine: never, cli or always.")] = (
        "cli"
    )


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. Paths are absolute once decoded."""

    archive: ArchiveSettings
    server: ServerSettings = ServerSettings()
    network: NetworkSettings = NetworkSettings()
    limits: Annotated[Limits, _doc("What one visit may take.")] = Limits()
    loaders: Annotated[
        dict[str, Part],
        PartTable("loader"),
        _doc("Settings of loaders, by visit type; `--option` overrides them."),
    ] = {}
    jobs: Annotated[JobsSettings, _doc("How visits and listings are worked on.")] = JobsSettings()
    save_code_now: Annotated[
        SaveSettings, _doc("What is decided on requests to save an origin. The shell may add to both lists.")
    ] = SaveSettings()
    webhooks: Annotated[
        dict[str, Part],
        PartTable("webhook"),
        _doc("Settings of webhooks, by forge. With a secret only deliveries that prove it are taken."),
    ] = {}
    forges: Annotated[
        list[ForgeEntry],
        ForgeList(),
        _doc("Forges that are listed every so often, and what they list visited."),
    ] = []
    schedule: Annotated[ScheduleSettings, _doc("When origins are visited without being asked.")] = (
        ScheduleSettings()
    )
    plugins_dir: Annotated[
        Path | None, _doc("A folder with plugins that are single .py files. Its code runs with your rights.")
    ] = None


class Configuration(msgspec.Struct, frozen=True):
    """What was read: ``sources`` maps dotted keys to where they were written (all others are defaults); relative
    paths were taken from ``base``."""

    settings: Settings
    sources: dict[str, str]
    registry: Registry
    file: Path | None
    base: Path


class Source(msgspec.Struct, frozen=True):
    """A configuration file (or none) as nodes, before anything is decoded."""

    root: Node
    problems: list[Problem]
    file: Path | None
    base: Path

    def registry(self) -> Registry:
        """The plugins of the installation and of ``plugins_dir``. Raises ``ConfigError`` if that key is wrong."""
        entries = self.root.value if isinstance(self.root.value, dict) else {}
        node = entries.get("plugins_dir")
        decoder = Decoder(self.base)
        folder = None if node is None or node.value is None else decoder.value(node, Path, "plugins_dir")
        if node is None or not isinstance(folder, Path):
            _raise(decoder.problems)
            return Registry.load(None)
        try:
            return Registry.load(folder)
        except PluginError as error:
            raise ConfigError(str(Problem(node.place, "plugins_dir", str(error)))) from None


def find(named: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read: the one named, that of ``SWHKIT_CONFIG``, ``./swhkit.yaml``, or None if there is none.

    Raises ``ConfigError`` for a ``./swhkit.yaml`` of another user, which could make us run that user's plugins.
    """
    if named is not None:
        return named
    if environment.get(VARIABLE):
        return Path(environment[VARIABLE])
    here = Path(FILE_NAME)
    if not here.exists():
        return None
    if here.stat().st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"{here}:1: the file belongs to another user; to trust it, name it with --config {here}"
        )
    return here


def read(file: Path | None, environment: Mapping[str, str] = os.environ) -> Source:
    """The nodes of a file; None is a configuration of defaults. Raises ``ConfigError`` if it cannot be read."""
    if file is None:
        return Source(Node(None, "default"), [], None, Path.cwd())
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}:1: the configuration cannot be read: {error.strerror}") from None
    root, problems = parse(data, str(file), environment)
    return Source(root, problems, file, file.absolute().parent)


def decode(source: Source, registry: Registry | None = None) -> Configuration:
    """Everything decoded. Raises ``ConfigError`` with one line for each problem."""
    registry = source.registry() if registry is None else registry
    decoder = Decoder(source.base, registry)
    settings = decoder.struct(source.root, Settings)
    _raise([*source.problems, *decoder.problems])
    if settings is None:
        raise AssertionError("settings that are not decoded have a problem")
    return Configuration(settings, decoder.sources, registry, source.file, source.base)


def load(named: Path | None = None, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Find, read and decode the configuration. Raises ``ConfigError``."""
    return decode(read(find(named, environment), environment))


def _raise(problems: list[Problem]) -> None:
    """One error for all problems; of several about one key the first says it, and one about a mapping is left out where a
    key in it was wrong already."""
    first: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        deeper = any(place == problem.place and path.startswith(f"{problem.path}.") for place, path in first)
        if not deeper:
            first.setdefault((problem.place, problem.path), problem)
    if first:
        in_order = sorted(
            first.values(), key=lambda p: int(f"0{p.place.rpartition(':')[2]}") if ":" in p.place else 0
        )
        raise ConfigError("\n".join(map(str, in_order)))


__all__ = [
    "FILE_NAME",
    "VARIABLE",
    "ArchiveSettings",
    "Configuration",
    "ForgeEntry",
    "ForgeList",
    "JobsSettings",
    "NetworkSettings",
    "Part",
    "PartOf",
    "PartTable",
    "Rates",
    "SaveSettings",
    "ScheduleSettings",
    "ServerSettings",
    "Settings",
    "Source",
    "ThrottlingSettings",
    "decode",
    "find",
    "load",
    "parse",
    "read",
]
