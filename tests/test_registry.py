"""Plugins: found, refused, told apart."""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import distributions
import pytest

from swhkit.errors import PluginError
from swhkit.model import Visit, VisitStatus
from swhkit.registry import Registry, loose


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on ``sys.path`` for made-up distributions; what they imported is forgotten afterwards."""
    before = set(sys.modules)
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith(("made_", "swhkit_loose_")):
            del sys.modules[name]


def error_of(registry: Registry, name: str) -> str | None:
    return next(p.error for p in registry.plugins if p.source.name == name)


def test_an_installed_plugin_is_found_with_its_distribution(room: Path) -> None:
    distributions.make(room, "made-dist", {"made": "made_good"}, {"made_good": distributions.PLUGIN})
    registry = Registry.load()
    plugin = next(p for p in registry.plugins if p.source.name == "made")
    assert (plugin.source.origin, plugin.source.version, plugin.error) == ("made-dist", "1.2", None)
    assert registry.loaders()["toy"].summary == "toys"
    assert registry.object_stores()["packs"].factory == "made_good:Part"
    assert registry.catalogs()["rows"].name == "rows"
    assert registry.request_stores()["slips"].summary == "requests on slips"
    assert registry.of_kind("request store") == registry.request_stores()
    assert registry.provider("loader", "toy") is registry.loaders()["toy"]
    assert registry.factory("loader", registry.loaders()["toy"]).__name__ == "Part"


def test_an_unknown_name_says_what_there_is(room: Path) -> None:
    distributions.make(room, "made-dist", {"made": "made_good"}, {"made_good": distributions.PLUGIN})
    with pytest.raises(PluginError, match=r"no loader named 'tyo'; did you mean 'toy'\?; available: .*toy"):
        Registry.load().provider("loader", "tyo")


def test_two_plugins_with_one_name_are_an_error_that_names_both(room: Path) -> None:
    distributions.make(room, "made-one", {"a": "made_a"}, {"made_a": distributions.PLUGIN})
    distributions.make(room, "made-two", {"a": "made_b"}, {"made_b": distributions.PLUGIN}, "3")
    registry = Registry.load()
    with pytest.raises(PluginError, match=r"made-one 1\.2 and made-two 3 both provide a loader named 'toy'"):
        registry.loaders()
    with pytest.raises(PluginError, match="both provide"):
        registry.provider("catalog", "rows")


def test_the_same_module_from_two_distributions_is_not_counted_twice(room: Path) -> None:
    distributions.make(room, "made-one", {"a": "made_a"}, {"made_a": distributions.PLUGIN})
    distributions.make(room, "made-two", {"a": "made_a"}, {})
    registry = Registry.load()
    assert [bool(p.error) for p in registry.plugins if p.source.name == "a"] == [False, True]
    assert "toy" in registry.loaders()
    assert registry.visit_type("https://x.example/a.toy") == "toy"


def test_a_broken_plugin_is_recorded_and_an_error_only_when_named(
    room: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sources = {"made_bad": "import nothing_of_that_name\n", "made_good": distributions.PLUGIN}
    distributions.make(room, "made-bad", {"bad": "made_bad"}, sources)
    distributions.make(room, "made-dist", {"made": "made_good"}, {})
    registry = Registry.load()
    assert error_of(registry, "bad") == "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert "bad (made-bad 1.2) cannot be used" in caplog.text
    assert "toy" in registry.loaders()
    with pytest.raises(
        PluginError, match=r"plugin bad \(made-bad 1\.2\) cannot be used: ModuleNotFoundError"
    ):
        registry.provider("loader", "bad")
    with pytest.raises(PluginError, match=r"not loaded: bad \(made-bad 1\.2\)"):
        registry.provider("loader", "other")


HOOK = "from swhkit.plugin import *\nimport msgspec\n@hookimpl\ndef "


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (
            HOOK + "swhkit_loader(): return []",
            "swhkit_loader is no hook of swhkit; did you mean 'swhkit_loaders'?",
        ),
        (HOOK + "swhkit_visit_type(adress): return None", "adress"),
        (HOOK + "swhkit_loaders(): return 5", "TypeError"),
        (HOOK + "swhkit_loaders(): return ['git']", "returned str, not a list of swhkit.plugin.Provider"),
        (HOOK + "swhkit_loaders(): 1 / 0", "ZeroDivisionError: division by zero"),
        (HOOK + "swhkit_loaders(): return [Provider('Git', 's', 'm:f')]", "returned the name 'Git'"),
        (HOOK + "swhkit_loaders(): return [Provider('git', 's', 'm.f')]", "is 'm.f', not 'module:callable'"),
        (HOOK + "swhkit_loaders(): return [Provider('git', 's', 'm:f', dict)]", "is no msgspec.Struct type"),
        (
            HOOK
            + "swhkit_catalogs(): return [Provider('x', 's', 'm:f', msgspec.defstruct('C', ['backend']))]",
            "a field 'backend'",
        ),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one two"),
    ],
)
def test_what_a_plugin_gets_wrong_is_one_line(room: Path, source: str, error: str) -> None:
    folder = room / "loose"
    folder.mkdir()
    (folder / "wrong.py").write_text(source)
    registry = Registry.load(folder)
    found = error_of(registry, "wrong")
    assert found is not None
    assert error in found
    assert "\n" not in found
    assert registry.visit_type("x") is None


def test_no_hook_of_a_broken_plugin_is_called(tmp_path: Path) -> None:
    source = distributions.PLUGIN + "\n@hookimpl\ndef swhkit_loadrs():\n    return []\n"
    (tmp_path / "half.py").write_text(source)
    registry = Registry(loose(tmp_path))
    assert "did you mean 'swhkit_loaders'" in (error_of(registry, "half") or "")
    assert registry.visit_type("https://x.example/a.toy") is None
    assert registry.loaders() == {}


def test_a_hook_of_a_later_version_may_be_optional(tmp_path: Path) -> None:
    (tmp_path / "later.py").write_text(
        "from swhkit.plugin import hookimpl\n@hookimpl(optionalhook=True)\ndef swhkit_of_tomorrow(): return []\n"
    )
    assert error_of(Registry(loose(tmp_path)), "later") is None


def test_loose_files_are_plugins(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(distributions.PLUGIN)
    (tmp_path / "_helper.py").write_text("raise SystemExit(3)")
    (tmp_path / "notes.txt").write_text("raise SystemExit(3)")
    registry = Registry(loose(tmp_path))
    assert [p.source.name for p in registry.plugins] == ["json"]
    part = registry.factory("loader", registry.provider("loader", "toy"))(None)
    assert part.config is None
    assert sys.modules["json"].__name__ == "json", "a loose file must not stand in for a module of that name"


def test_loose_files_with_like_names_are_two(tmp_path: Path) -> None:
    for name in ("a-b", "a_b"):
        source = distributions.PLUGIN.replace('"toy"', f'"{name}"').replace('"packs"', f'"p{name}"')
        (tmp_path / f"{name}.py").write_text(source.replace('"rows"', f'"r{name}"'))
    registry = Registry(loose(tmp_path))
    factories = {name: registry.factory("loader", part) for name, part in registry.loaders().items()}
    assert factories["a-b"] is not factories["a_b"]


def test_a_plugins_dir_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be read: No such file"):
        Registry.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("factory", "error"),
    [
        ("nothing_here:f", "ModuleNotFoundError"),
        ("json:nothing", "AttributeError"),
        ("json:__name__", "not callable"),
    ],
)
def test_a_factory_that_is_not_there_is_an_error(tmp_path: Path, factory: str, error: str) -> None:
    (tmp_path / "p.py").write_text(HOOK + f"swhkit_loaders(): return [Provider('x', 's', {factory!r})]")
    registry = Registry(loose(tmp_path))
    with pytest.raises(PluginError, match=error):
        registry.factory("loader", registry.provider("loader", "x"))


def visit() -> Visit:
    return Visit("https://x.example/", 1, "git", datetime.datetime.now(datetime.UTC), VisitStatus.FULL)


def test_notifications_reach_all_and_their_errors_are_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    note = tmp_path / "seen"
    (tmp_path / "a.py").write_text(HOOK + "swhkit_visit_finished(visit): raise OSError('no')")
    (tmp_path / "b.py").write_text(
        HOOK
        + f"swhkit_visit_finished(report, visit): open({str(note)!r}, 'w').write(f'{{visit.number}}{{report}}')"
    )
    (tmp_path / "c.py").write_text(HOOK + "swhkit_visit_finished(): raise ValueError('no')")
    registry = Registry(loose(tmp_path))
    with caplog.at_level(logging.ERROR):
        registry.visit_finished(visit(), "!")
    assert note.read_text() == "1!"
    assert caplog.text.count("the hook swhkit_visit_finished of the plugin") == 2


def test_a_guess_that_raises_leaves_it_to_the_next(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.py").write_text(distributions.PLUGIN)
    (tmp_path / "z.py").write_text(HOOK + "swhkit_visit_type(url): raise ValueError(url)")
    registry = Registry(loose(tmp_path))
    assert registry.visit_type("https://x.example/a.toy") == "toy"
    assert registry.visit_type("https://x.example/") is None
    assert "swhkit_visit_type" in caplog.text
