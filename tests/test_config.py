"""The configuration: what is read, what is refused, where each value came from."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import distributions
import msgspec
import pytest

from swhkit import config
from swhkit.config import show
from swhkit.config.yamlsource import MAX_BYTES
from swhkit.errors import ConfigError
from swhkit.registry import Registry, installed, loose

ROOT = Path(__file__).parent.parent


@pytest.fixture
def toys(tmp_path: Path) -> Registry:
    """A registry whose parts bear the names of the defaults."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    source = distributions.PLUGIN.replace('"packs"', '"filesystem"').replace('"rows"', '"sqlite"')
    source = source.replace('"slips"', '"sqlite"').replace('"chores"', '"sqlite"')
    (folder / "toys.py").write_text(source)
    return Registry(loose(folder))


def load(
    tmp_path: Path, text: str | bytes, registry: Registry | None, **environment: str
) -> config.Configuration:
    file = tmp_path / "swhkit.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.decode(config.read(file, environment), registry)


def errors(tmp_path: Path, text: str | bytes, registry: Registry | None, **environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, registry, **environment)
    assert all(re.match(r".*:[0-9]+: ", line) for line in str(caught.value).splitlines())
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "archive:\nserver:\nloaders:\n", "{}"])
def test_nothing_is_all_defaults(tmp_path: Path, toys: Registry, text: str) -> None:
    settings = load(tmp_path, text, toys).settings
    assert settings.archive.objects.provider.name == "filesystem"
    assert settings.archive.objects.config.path == tmp_path / "archive/objects"  # type: ignore[attr-defined]
    assert settings.archive.catalog.config.path == tmp_path / "archive/catalog.sqlite"  # type: ignore[attr-defined]
    assert settings.archive.stage == tmp_path / "archive/stage"
    assert settings.server.listen == "127.0.0.1:5080"
    assert settings.limits.max_pack_size == 4 << 30
    assert settings.limits.visit_time == 21600.0
    assert settings.network.private_addresses == "cli"
    assert settings.loaders == {}
    assert settings.plugins_dir is None


def test_every_kind_of_value(tmp_path: Path, toys: Registry) -> None:
    text = """
archive:
  objects: {backend: filesystem, path: ../packs, level: 9, wait: 5m}
  stage: /var/stage
server: {listen: "[::1]:0", public_url: "https://a.example/x/"}
network: {schemes: [https, ssh], private_addresses: never, local_paths: always}
limits: {max_content_size: 100MiB, max_pack_size: 1000, visit_time: 90s}
loaders: {toy: {level: 0x10}}
"""
    settings = load(tmp_path, text, toys).settings
    objects: Any = settings.archive.objects.config
    assert (objects.path, objects.level, objects.wait) == (tmp_path / "../packs", 9, 300.0)
    assert settings.archive.stage == Path("/var/stage")
    assert (settings.server.listen, settings.server.public_url) == ("[::1]:0", "https://a.example/x")
    assert settings.network.schemes == ("https", "ssh")
    assert (settings.limits.max_content_size, settings.limits.max_pack_size) == (100 << 20, 1000)
    assert settings.limits.visit_time == 90.0
    assert settings.loaders["toy"].config.level == 16  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("servr: {}", "swhkit.yaml:1: servr: unknown key; did you mean 'server'?"),
        (
            "server:\n  listen: a:1\n  lisen: b:2",
            "swhkit.yaml:3: server.lisen: unknown key; did you mean 'listen'?",
        ),
        (
            "limits: {zzz: 1}",
            "limits.zzz: unknown key; the keys here are max_content_size, max_pack_size, visit_time",
        ),
        ("vault: {workers: 1}", "swhkit.yaml:1: vault: unknown key; the keys here are archive, server"),
        (
            "server: {}\nlimits: {}\nserver: {}",
            "swhkit.yaml:3: server: the key is there twice, first in line 1",
        ),
        ("archive:\n  objects:\n    path: a\n    rot: b", "swhkit.yaml:4: archive.objects.rot: unknown key"),
        (
            "archive:\n  objects:\n    level: x",
            "swhkit.yaml:3: archive.objects.level: expected a whole number, got text",
        ),
        (
            "archive:\n  objects:\n    level: true",
            "archive.objects.level: expected a whole number, got true or false",
        ),
        (
            "archive:\n  objects:\n    level:",
            "swhkit.yaml:3: archive.objects.level: expected a whole number, got null",
        ),
        ("archive: {objects: packs}", "archive.objects: expected {backend: NAME, …}"),
        ("archive: {objects: {backend: 3}}", "archive.objects.backend: expected text, got a whole number"),
        (
            "archive:\n  catalog:\n    backend: sqlit",
            "swhkit.yaml:3: archive.catalog: there is no catalog named 'sqlit'; did",
        ),
        ("archive: {stage: 3}", "archive.stage: expected a path, got a number"),
        ("archive: {stage: ''}", "archive.stage: expected a path, got nothing"),
        ('archive: {stage: "a\\0b"}', "archive.stage: expected a path"),
        ("archive: {stage: null}", "archive.stage: expected a path, got nothing"),
        ("archive: [1]", "archive: expected keys with values below it, got a list"),
        ("- 1\n- 2", "swhkit.yaml:1: expected keys with values below it, got a list"),
        ("just text", "swhkit.yaml:1: expected keys with values below it, got text"),
        (
            "loaders: {to: {}}",
            "loaders.to: there is no loader named 'to'; did you mean 'toy'?; available: toy",
        ),
        ("loaders: {toy: {lvl: 1}}", "loaders.toy.lvl: unknown key"),
        ("loaders: {toy: 3}", "loaders.toy: expected keys with values below it, got a number"),
        ("loaders: [toy]", "loaders: expected the names of loaders"),
        ("webhooks: {bel: {}}", "webhooks.bel: there is no webhook named 'bel'; did you mean 'bell'?"),
        ("webhooks: {bell: {secret: '${NOPE}'}}", "the environment variable NOPE is not set"),
        ("webhooks: {bell: {key: x}}", "webhooks.bell.key: unknown key; the keys here are secret"),
        ("forges: {}", "forges: expected a list of {kind: NAME, url: URL, …}"),
        ("forges: [smithy]", "forges[0]: expected {kind: NAME, url: URL, …}"),
        ("forges: [{kind: smithy}]", "forges[0].url: the key is missing"),
        ("forges: [{kind: smith, url: 'https://a.example'}]", "did you mean 'smithy'?"),
        ("forges: [{kind: smithy, url: ftp://a}]", "forges[0].url: expected a URL such as"),
        ("forges: [{kind: smithy, url: 'https://a.example', every: 1s}]", "forges[0].every: expected"),
        ("forges: [{kind: smithy, url: 'https://a.example', leve: 1}]", "did you mean 'level'?"),
        (
            "forges: [{kind: smithy, url: 'https://a.example'}, {kind: smithy, url: 'https://a.example/'}]",
            "https://a.example is listed twice; remove one",
        ),
        ("jobs: {workers: -1}", "jobs.workers: expected"),
        ("save_code_now: {otherwise: maybe}", "expected one of pending, accepted, rejected, got 'maybe'"),
        ("schedule: {origins: [{url: x, typ: git}]}", "schedule.origins[0].typ: unknown key; did you mean"),
        (
            "limits:\n  visit_time: 3 weeks",
            "swhkit.yaml:2: limits.visit_time: expected a duration such as 90s",
        ),
        ("limits:\n  max_pack_size: 4GB", "limits.max_pack_size: expected a size such as 64KiB"),
        ("limits:\n  max_pack_size: -1", "limits.max_pack_size: expected a size"),
        ("limits:\n  max_pack_size: .inf", "limits.max_pack_size: expected a size"),
        ("network: {schemes: https}", "network.schemes: expected a list, got text"),
        (
            "network:\n  schemes:\n  - https\n  - htps",
            "swhkit.yaml:4: network.schemes[1]: expected one of https, http,",
        ),
        ("network: {schemes: [ext]}", "network.schemes[0]: expected one of"),
        (
            "network: {local_paths: nver}",
            "expected one of never, cli, always, got 'nver'; did you mean 'never'?",
        ),
        ("network: {local_paths: no}", "network.local_paths: expected one of never, cli, always, got false"),
        ("server: {listen: 5080}", "server.listen: expected HOST:PORT"),
        ("server: {public_url: 'javascript:1'}", "server.public_url: expected a URL"),
        ("server: {listen: '${NOPE}'}", "server.listen: the environment variable NOPE is not set"),
        ("server: {listen: '${NO PE}'}", "server.listen: '${NO PE}' names no variable"),
        ("server: {listen: '${'}", "names no variable; write ${NAME}, or $${ for a plain ${"),
        ("plugins_dir: [a]", "plugins_dir: expected a path, got a list"),
        (
            "server: {listen: !!python/object:os.system {}}",
            "swhkit.yaml:1: the tag tag:yaml.org,2002:python/object",
        ),
        (
            "server: !!python/object/apply:os.system ['touch x']",
            "swhkit.yaml:1: the tag tag:yaml.org,2002:python",
        ),
        ("server: {listen: !env HOME}", "the tag !env is not allowed"),
        ("server: {listen: !!binary aGk=}", "the tag tag:yaml.org,2002:binary is not allowed"),
        ("a: &x {b: 1}\nserver: {<<: *x}", "swhkit.yaml:2: keys must be plain words; merge keys"),
        ("? [a, b]\n: 1", "swhkit.yaml:1: keys must be plain words"),
        ("server: {listen: 'a", "swhkit.yaml:1: not valid YAML"),
        ("server:\n\tlisten: a", "swhkit.yaml:2: not valid YAML"),
        ("server: *nowhere", "swhkit.yaml:1: not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML: but found another document"),
        (b"server:\n  listen: \xff\xfe", "swhkit.yaml:2: the file is not UTF-8"),
        (b"server: \x00", "swhkit.yaml:1: not valid YAML"),
    ],
)
def test_each_mistake_has_its_line_and_key(
    tmp_path: Path, toys: Registry, text: str | bytes, error: str
) -> None:
    found = errors(tmp_path, text, toys)
    assert len(found) == 1, found
    assert error in found[0]


def test_all_mistakes_are_told_in_the_order_of_the_file(tmp_path: Path, toys: Registry) -> None:
    text = "limits:\n  visit_time: x\n  nope: 1\nserver:\n  listen: 1\nlimits: {}\nloaders: {x: {}}\n"
    lines = [int(error.split(":")[1]) for error in errors(tmp_path, text, toys)]
    assert lines == [2, 3, 5, 6, 7]


def bomb(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(9, 9),
        bomb(25, 2),
        "[" * 500_000,
        "{a: " * 200_000,
        "- " * 400_000,
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" + "1," * 400_000 + "]",
        "".join(f"k{i}: 1\n" for i in range(80_000)),
        "#" * (MAX_BYTES + 1),
        "a: " + "9" * 900_000,
        "a: '" + "${X}" * 200_000 + "'",
        "\n" * 900_000 + "a: 1",
        "? " * 300_000,
        "a: !!python/object/apply:time.sleep [10]",
    ],
    ids=lambda text: text[:12],
)
def test_bombs_are_refused_in_less_than_a_second(tmp_path: Path, toys: Registry, text: str) -> None:
    started = time.process_time()
    found = errors(tmp_path, text, toys)
    assert time.process_time() - started < 1
    assert all(len(line) < 500 for line in found)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: &a x\nb: [" + "*a, " * 51 + "]", "swhkit.yaml:2: more than 50 aliases"),
        ("a:\n  " + "[" * 32 + "]" * 32, "swhkit.yaml:2: more than 32 levels of nesting"),
        ("a: [" + "1, " * 20_000 + "]", "swhkit.yaml:1: more than 20000 values"),
        ("a: &a [" + "x, " * 5000 + "]\nb: [" + "*a, " * 50 + "]", "aliases expand to more than is allowed"),
    ],
    ids=lambda text: text[-20:],
)
def test_each_limit_is_named(tmp_path: Path, toys: Registry, text: str, error: str) -> None:
    (found,) = errors(tmp_path, text, toys)
    assert error in found


def test_the_environment_cannot_make_a_value_without_end(tmp_path: Path, toys: Registry) -> None:
    found = errors(tmp_path, "server: {listen: '" + "${X}" * 10_000 + "'}", toys, X="x" * 10_000)
    assert found == ["swhkit.yaml:1: server.listen: more than 1 MiB come from the environment"]


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        config.read(Path("/dev/zero"), {})


def test_a_few_aliases_are_fine(tmp_path: Path, toys: Registry) -> None:
    text = "archive:\n  objects: &o {wait: 7}\n  catalog: *o\n"
    settings = load(tmp_path, text, toys).settings
    assert settings.archive.catalog.config.wait == 7.0  # type: ignore[attr-defined]
    assert settings.archive.catalog.provider.name == "sqlite"


def test_the_environment_gives_values_but_no_structure(tmp_path: Path, toys: Registry) -> None:
    text = "loaders: {toy: {level: '${N}', token: 'a${T}b $${T} $T', wait: '${W}'}}"
    found = load(tmp_path, text, toys, N="12", T="{x: [1]}\n!", W="5m")
    toy: Any = found.settings.loaders["toy"].config
    assert (toy.level, toy.token, toy.wait) == (12, "a{x: [1]}\n!b ${T} $T", 300.0)
    assert found.sources["loaders.toy.level"] == f"environment N ({tmp_path}/swhkit.yaml:1)"


def test_a_number_from_the_environment_is_not_forced_on_a_text(tmp_path: Path, toys: Registry) -> None:
    found = load(tmp_path, "loaders: {toy: {token: '${T}'}}", toys, T="0123")
    assert found.settings.loaders["toy"].config.token == "0123"  # type: ignore[attr-defined]


def test_numbers_nobody_means_stay_text(tmp_path: Path, toys: Registry) -> None:
    settings = load(
        tmp_path, "server: {listen: localhost:80}\nloaders: {toy: {token: 2024-01-01}}", toys
    ).settings
    assert settings.loaders["toy"].config.token == "2024-01-01"  # type: ignore[attr-defined]
    assert "expected a whole number, got text" in errors(tmp_path, "loaders: {toy: {level: 1:30}}", toys)[0]
    assert "expected a whole number, got text" in errors(tmp_path, "loaders: {toy: {level: 010}}", toys)[0]


def test_a_secret_is_in_no_text(tmp_path: Path, toys: Registry) -> None:
    text = "loaders: {toy: {token: 'tiger-1', hidden: 'tiger-2'}}\n"
    shown = show.effective(load(tmp_path, text, toys))
    assert "tiger" not in shown
    assert shown.count('"***"') == 2
    for bad in ("token: [tiger-1]", "hidden: [tiger-2]", "hidden: {tiger-2: 1}"):
        assert "tiger" not in "".join(errors(tmp_path, f"loaders: {{toy: {{{bad}}}}}", toys))


def test_effective_settings_say_where_they_came_from_and_can_be_read_again(
    tmp_path: Path, toys: Registry
) -> None:
    text = "server:\n  listen: '${A}'\nlimits: {max_content_size: 102400KiB}\nloaders: {toy: {wait: 0.5}}\n"
    found = load(tmp_path, text, toys, A="127.0.0.1:0")
    shown = show.effective(found)
    assert f'  listen: "127.0.0.1:0"  # environment A ({tmp_path}/swhkit.yaml:2)\n' in shown
    assert f"  max_content_size: 100MiB  # {tmp_path}/swhkit.yaml:3\n" in shown
    assert "  visit_time: 6h  # default\n" in shown
    assert f"    wait: 0.5s  # {tmp_path}/swhkit.yaml:4\n" in shown
    again = load(tmp_path, shown, toys)
    assert show.effective(again).replace("  #", "#").split("#")[0] == shown.replace("  #", "#").split("#")[0]
    assert again.settings.server == found.settings.server
    assert again.settings.limits == found.settings.limits
    assert again.settings.network == found.settings.network
    assert again.settings.archive.objects.config == found.settings.archive.objects.config


FORGES = """
webhooks: {bell: {secret: "${S}"}}
forges:
  - {kind: smithy, url: "https://a.example/", level: 5, token: "${S}"}
  - kind: smithy
    url: https://b.example/git
    every: 90s
    visit_every: null
"""


def test_forges_and_webhooks_have_the_keys_of_their_kinds(tmp_path: Path, toys: Registry) -> None:
    found = load(tmp_path, FORGES, toys, S="geheim")
    first, second = found.settings.forges
    assert (first.keys.kind, first.keys.url, first.keys.every) == ("smithy", "https://a.example", 86_400.0)
    assert first.part.config.level == 5  # type: ignore[attr-defined]
    assert first.part.config.token == "geheim"  # type: ignore[attr-defined]
    assert (second.keys.url, second.keys.every, second.keys.visit_every) == (
        "https://b.example/git",
        90.0,
        None,
    )
    assert found.settings.webhooks["bell"].config.secret == "geheim"  # type: ignore[attr-defined]


def test_forges_are_shown_and_can_be_read_again_without_their_secrets(tmp_path: Path, toys: Registry) -> None:
    shown = show.effective(load(tmp_path, FORGES, toys, S="geheim"))
    assert "geheim" not in shown
    assert f'  url: "https://a.example"  # {tmp_path}/swhkit.yaml:4\n' in shown
    again = load(tmp_path, shown, toys).settings.forges
    assert [entry.keys.url for entry in again] == ["https://a.example", "https://b.example/git"]
    assert again[1].keys.visit_every is None


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "no",
        "123",
        "1e3",
        "a: b",
        "a #b",
        "'",
        '"',
        "${X}",
        "~x",
        "\n",
        "é",
        "*a",
        "",
        "\U0001f600",
        "\U000e0001",
        "\x9b",
        "\u2028",
        "\x7f",
        "\\",
        "\x00",
    ],
)
def test_any_text_survives_being_shown(tmp_path: Path, toys: Registry, name: str) -> None:
    written = show.written(name, str, "some.key")
    root: Any = config.parse(f"a: {written}".encode(), "f", {})[0]
    assert root.value["a"].value == name


def test_a_password_in_a_url_is_masked() -> None:
    assert "geheim" not in show.written("https://u:geheim@a.example/", str, "some.key")
    assert "geheim" not in show.written(
        {"x": ["https://u:geheim@a.example/"], "api_token": "geheim"}, dict, "k"
    )


def test_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.find(None, {}) is None
    Path("swhkit.yaml").touch()
    assert config.find(None, {}) == Path("swhkit.yaml")
    assert config.find(None, {"SWHKIT_CONFIG": "/e.yaml"}) == Path("/e.yaml")
    assert config.find(Path("named.yaml"), {"SWHKIT_CONFIG": "/e.yaml"}) == Path("named.yaml")


def test_the_file_of_another_user_is_not_taken_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("swhkit.yaml").touch()
    monkeypatch.setattr("os.geteuid", lambda: Path("swhkit.yaml").stat().st_uid + 1)
    monkeypatch.setattr(Path, "stat", lambda self, **_: type("Stat", (), {"st_uid": 4242})())
    with pytest.raises(ConfigError, match="belongs to another user"):
        config.find(None, {})


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, what: str) -> None:
    file = tmp_path if what == "folder" else tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(file, {})


def test_plugins_dir_is_relative_to_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    source = (
        distributions.PLUGIN.replace('"packs"', '"p1"').replace('"rows"', '"p2"').replace('"toy"', '"p3"')
    )
    (folder / "mine.py").write_text(source)
    text = "plugins_dir: mine\narchive: {objects: {backend: p1}, catalog: {backend: p2}}\nloaders: {p3: {level: 5}}\n"
    found = load(tmp_path, text, None)
    assert found.settings.plugins_dir == folder
    assert found.settings.loaders["p3"].config.level == 5  # type: ignore[attr-defined]


def test_a_plugins_dir_that_is_not_there_names_the_line(tmp_path: Path) -> None:
    assert re.match(
        r"swhkit\.yaml:2: plugins_dir: .* cannot be read", errors(tmp_path, "\nplugins_dir: nope", None)[0]
    )


class Odd(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A struct with what the settings of the core do not have."""

    must_be: int
    table: dict[str, Path] = {}
    mixed: int | str = 1
    pair: tuple[int, str] = (1, "a")
    inner: list[dict[str, list[int]]] = []

    def __post_init__(self) -> None:
        if self.must_be == 13:
            raise ValueError("13 is not allowed here")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}", "f:1: must-be: the key is missing, and it has no default"),
        ("must-be: 13", "f:1: 13 is not allowed here"),
        ("must_be: 1", "f:1: must_be: unknown key; did you mean 'must-be'?"),
        ("must-be: 1\npair: [1]", "f:2: pair: "),
        ("must-be: 1\nmixed: [1]", "f:2: mixed: expected a whole number or text, got a list"),
        (
            "must-be: 1\ninner:\n- a:\n  - 1\n  - x",
            "f:5: inner[0].a[1]: expected a whole number, got text (it is 'x')",
        ),
        ("must-be: 1\ntable: {a: 3}", "f:2: table.a: expected a path, got a number"),
    ],
)
def test_structs_of_plugins(tmp_path: Path, text: str, error: str) -> None:
    from swhkit.config.decode import Decoder

    decoder = Decoder(tmp_path)
    assert decoder.struct(config.parse(text.encode(), "f", {})[0], Odd) is None
    assert error in [str(p)[: len(error)] for p in decoder.problems]


def test_structs_of_plugins_are_decoded(tmp_path: Path) -> None:
    from swhkit.config.decode import Decoder

    text = b"must-be: 1\ntable: {a: x, b: /y}\nmixed: z\npair: [2, b]\ninner: [{a: [1, 2]}]"
    odd = Decoder(tmp_path).struct(config.parse(text, "f", {})[0], Odd)
    assert odd == Odd(1, {"a": tmp_path / "x", "b": Path("/y")}, "z", (2, "b"), [{"a": [1, 2]}])


def uncommented(text: str) -> str:
    """The file with all defaults taken out of their comments."""
    return re.sub(r"^#(?! )(?=\S)|^#(?=  +[a-z_]+:( |$))", "", text, flags=re.MULTILINE)


def first_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.syspath_prepend(str(distributions.first_party(tmp_path / "installed")))
    return Registry(source for source in installed() if source.origin == "swhkit")


def test_the_example_is_what_init_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = show.template(first_party(tmp_path, monkeypatch))
    stale = "config.example.yaml is stale: copy the swhkit.yaml that `swhkit init` makes in an empty folder"
    assert (ROOT / "config.example.yaml").read_text() == written, stale


def test_the_example_loads_as_it_is_and_uncommented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = first_party(tmp_path, monkeypatch)
    text = (ROOT / "config.example.yaml").read_text()
    plain = load(tmp_path, text, registry)
    full = load(tmp_path, uncommented(text), registry)
    assert plain.sources.keys() <= full.sources.keys()
    assert {
        "server.listen",
        "archive.objects.path",
        "limits.visit_time",
        "plugins_dir",
    } <= full.sources.keys()
    lines = [line.partition("  #")[0] for line in show.effective(full).splitlines()]
    bare = [line.partition("  #")[0] for line in show.effective(plain).splitlines()]
    assert [line for line in bare if line.strip() not in ("loaders: {}", "webhooks: {}")] == [
        line for line in bare if line in lines
    ]
