"""Parts put together: archives that open or do not, loaders with their settings."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import distributions
import pytest

from swhkit import assemble, config, desk
from swhkit.errors import ConfigError, InvalidInput, InvalidUrl, NotHeld, PluginError
from swhkit.registry import Registry, loose

STORES = """
import msgspec
from pathlib import Path
from swhkit.errors import NotHeld
from swhkit.plugin import NoConfig, Provider, hookimpl

OPEN = []


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: Path


class Store:
    def __init__(self, config, create):
        if create:
            config.path.mkdir(parents=True, exist_ok=True)
        if not config.path.is_dir():
            raise NotHeld(f"there is no store at {config.path}")
        OPEN.append(self)

    def close(self):
        if self in OPEN:
            OPEN.remove(self)

    def adopt(self, packs): ...
    def publish(self, url, number, publication): ...


class Reader:
    def __init__(self, config, create): ...
    def close(self): ...


def broken(config, create):
    raise OSError(28, "No space left on device", "/x")


@hookimpl
def swhkit_object_stores():
    return [Provider("filesystem", "s", __name__ + ":Store", Config), Provider("reader", "s", __name__ + ":Reader")]


@hookimpl
def swhkit_catalogs():
    return [
        Provider("sqlite", "s", __name__ + ":Store", Config),
        Provider("broken", "s", __name__ + ":broken"),
        Provider("absent", "s", "nowhere_to_be_found:f"),
    ]


@hookimpl
def swhkit_requests():
    return [Provider("sqlite", "s", __name__ + ":Store", Config), Provider("broken", "s", __name__ + ":broken")]


@hookimpl
def swhkit_jobs():
    return [Provider("sqlite", "s", __name__ + ":Store", Config)]
"""


@pytest.fixture
def parts(tmp_path: Path) -> Registry:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "stores.py").write_text(STORES)
    (folder / "toys.py").write_text(distributions.PLUGIN)
    return Registry(loose(folder))


def configure(tmp_path: Path, parts: Registry, text: str = "") -> config.Configuration:
    file = tmp_path / "swhkit.yaml"
    file.write_text(text)
    return config.decode(config.read(file, {}), parts)


def opened(parts: Registry) -> list[Any]:
    import sys

    return sys.modules["swhkit_loose_stores"].OPEN  # type: ignore[no-any-return]


def test_an_archive_is_made_then_found(tmp_path: Path, parts: Registry) -> None:
    settings = configure(tmp_path, parts).settings
    with pytest.raises(NotHeld, match=r"there is no store at .*objects, or name .* with --config"):
        assemble.open_archive(settings, parts, write=True)
    assert not (tmp_path / "archive").exists(), "a failed opening leaves nothing behind"
    archive = assemble.open_archive(settings, parts, create=True)
    assert archive.writable
    assert archive.stage == tmp_path / "archive/stage"
    assert archive.stage.stat().st_mode & 0o777 == 0o700
    assert len(opened(parts)) == 2
    archive.close()
    assert opened(parts) == []
    assert assemble.open_archive(settings, parts, write=True).writable


def test_a_request_store_that_is_not_there_is_none_until_it_is_made(tmp_path: Path, parts: Registry) -> None:
    settings = configure(tmp_path, parts).settings
    assert assemble.open_requests(settings, parts) is None
    assert not (tmp_path / "archive").exists()
    made = assemble.open_requests(settings, parts, create=True)
    assert opened(parts) == [made]
    assert assemble.open_requests(settings, parts) is not None
    settings = configure(tmp_path, parts, "archive: {requests: {backend: broken}}").settings
    with pytest.raises(OSError, match="No space left"):
        assemble.open_requests(settings, parts)


def test_an_archive_opened_for_reading_has_no_stage(tmp_path: Path, parts: Registry) -> None:
    settings = configure(tmp_path, parts).settings
    assemble.open_archive(settings, parts, create=True).close()
    (tmp_path / "archive/stage").rmdir()
    archive = assemble.open_archive(settings, parts, write=False)
    assert archive.stage is None
    assert not archive.writable
    assert not (tmp_path / "archive/stage").exists()


def test_readers_make_an_archive_that_is_only_read(tmp_path: Path, parts: Registry) -> None:
    settings = configure(tmp_path, parts, "archive: {objects: {backend: reader}}").settings
    archive = assemble.open_archive(settings, parts, create=True)
    assert archive.stage is None
    assert not archive.writable


@pytest.mark.parametrize(("catalog", "error"), [("broken", OSError), ("absent", PluginError)])
def test_what_was_opened_before_an_error_is_closed(
    tmp_path: Path, parts: Registry, catalog: str, error: type[Exception]
) -> None:
    settings = configure(tmp_path, parts, f"archive: {{catalog: {{backend: {catalog}}}}}").settings
    with pytest.raises(error):
        assemble.open_archive(settings, parts, create=True)
    assert opened(parts) == []


def test_a_stage_that_cannot_be_made_closes_both(tmp_path: Path, parts: Registry) -> None:
    (tmp_path / "file").touch()
    settings = configure(tmp_path, parts, "archive: {stage: file/stage}").settings
    with pytest.raises(OSError, match="stage"):
        assemble.open_archive(settings, parts, create=True)
    assert opened(parts) == []


def test_a_loader_has_the_settings_of_the_file(tmp_path: Path, parts: Registry) -> None:
    configuration = configure(tmp_path, parts, "loaders: {toy: {level: 7, path: rel}}")
    loader: Any = assemble.make_loader(configuration, "toy")
    assert (loader.config.level, loader.config.path, loader.config.wait) == (7, tmp_path / "rel", 60.0)
    assert assemble.make_loader(configuration, "toy") is not loader, "each visit has its own"


def test_options_are_laid_over_the_settings(
    tmp_path: Path, parts: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    configuration = configure(tmp_path, parts, "loaders: {toy: {level: 7, path: rel, token: t}}")
    options = {"wait": "5m", "path": '"mine"', "token": "null"}
    loader: Any = assemble.make_loader(configuration, "toy", options)
    assert (loader.config.level, loader.config.wait, loader.config.token) == (7, 300.0, None)
    assert loader.config.path == elsewhere / "mine", "a path of the command line is relative to the shell"
    kept: Any = assemble.make_loader(configuration, "toy", {"level": "8"})
    assert (kept.config.level, kept.config.path) == (8, tmp_path / "rel")
    assert assemble.make_loader(configure(tmp_path, parts), "toy", {"level": "1"}).config.level == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "text", "error"),
    [
        ("levl", "3", "--option levl: unknown key; did you mean 'level'?"),
        ("level", '"3"', "--option level: expected a whole number, got text (it is '3')"),
        ("level", "three", "--option level: expected a whole number, got text (it is 'three')"),
        ("level", "[1", "--option level: expected a whole number"),
        ("level", "1e400", "--option level: "),
        ("level", "NaN", "--option level: "),
        ("wait", "-1", "--option wait: expected a duration"),
        ("path", "3", "--option path: expected a path"),
        ("level", "[" * 100_000, "--option level: the value is nested too deeply"),
        ("level", "9" * 5000, "--option level: "),
        ("level", "x" * (1 << 21), "--option level: the value is longer"),
    ],
    ids=lambda value: value[:10],
)
def test_a_wrong_option_is_named(tmp_path: Path, parts: Registry, key: str, text: str, error: str) -> None:
    configuration = configure(tmp_path, parts)
    with pytest.raises(InvalidInput) as caught:
        assemble.make_loader(configuration, "toy", {key: text})
    assert str(caught.value).startswith(error)
    assert len(str(caught.value)) < 400


def test_a_type_without_a_loader_says_which_there_are(tmp_path: Path, parts: Registry) -> None:
    with pytest.raises(PluginError, match="no loader named 'git'; available: toy"):
        assemble.make_loader(configure(tmp_path, parts), "git")


def test_the_network_policy_is_that_of_the_file(tmp_path: Path, parts: Registry) -> None:
    settings = configure(tmp_path, parts, "network: {schemes: [https], local_paths: cli}").settings
    typed, received = assemble.network(settings, from_cli=True), assemble.network(settings, from_cli=False)
    assert typed.check(os.fspath(tmp_path)).path == tmp_path
    with pytest.raises(InvalidUrl):
        received.check(os.fspath(tmp_path))
    with pytest.raises(InvalidUrl):
        typed.check("svn://127.0.0.1/x")
    assert typed.check("https://127.0.0.1/x").host == "127.0.0.1"
    with pytest.raises(InvalidUrl):
        received.check("https://127.0.0.1/x")


def test_a_desk_has_both_stores_or_none(tmp_path: Path, parts: Registry) -> None:
    found = configure(tmp_path, parts)
    archive = assemble.open_archive(found.settings, parts, create=True)
    with pytest.raises(NotHeld, match=r"there is no store at .*jobs.sqlite, or name .* with --config"):
        desk.open_desk(archive, found, create=False)
    made = desk.open_desk(archive, found)
    assert len(opened(parts)) == 4
    made.close()
    assert len(opened(parts)) == 2, "the archive is not the desk's to close"
    (tmp_path / "archive/requests.sqlite").rmdir()
    with pytest.raises(NotHeld, match=r"requests.sqlite"):
        desk.open_desk(archive, found, create=False)
    assert len(opened(parts)) == 2, "a failed opening leaves nothing open"
    archive.close()


FORGES = "forges: [{kind: smithy, url: 'https://a.example/', level: 5}]\nwebhooks: {bell: {secret: s}}\n"


def test_a_forge_has_the_settings_of_its_entry_or_those_it_was_added_with(
    tmp_path: Path, parts: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = configure(tmp_path, parts, FORGES)
    listed: Any = assemble.make_forge(found, "smithy", "https://a.example", {"level": 7})
    assert listed.config.level == 5, "what the configuration says stands"
    monkeypatch.setenv("SMITHY_TOKEN", "geheim")
    added: Any = assemble.make_forge(
        found, "smithy", "https://b.example", {"level": 7, "token": "${SMITHY_TOKEN}"}
    )
    assert (added.config.level, added.config.token) == (7, "geheim")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"levl": 7}, "did you mean 'level'?"),
        ({"level": "x"}, "level: expected a whole number"),
        ({"token": "${NOT_SET}"}, "the environment variable NOT_SET is not set"),
    ],
)
def test_wrong_options_of_a_forge_are_named(
    tmp_path: Path, parts: Registry, options: dict[str, object], error: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(error)):
        assemble.make_forge(configure(tmp_path, parts), "smithy", "https://b.example", options)


def test_a_webhook_has_the_settings_of_its_entry_or_defaults(tmp_path: Path, parts: Registry) -> None:
    told: Any = assemble.make_webhook(configure(tmp_path, parts, FORGES), "bell")
    assert told.config.secret == "s"
    plain: Any = assemble.make_webhook(configure(tmp_path, parts), "bell")
    assert plain.config.secret is None
    with pytest.raises(PluginError, match="there is no webhook named 'bel'; did you mean 'bell'"):
        assemble.make_webhook(configure(tmp_path, parts), "bel")
