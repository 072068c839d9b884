"""Which URLs are refused before anything is started, and which addresses count as private."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swhkit.errors import InvalidInput, InvalidUrl, Unavailable
from swhkit.net import MAX_URL, Network, Target, curl_resolve, is_public, without_secret

PUBLIC = "93.184.216.34"
ANSWERS = {
    "example.org": [PUBLIC],
    "both.example.org": [PUBLIC, "2606:2800:220:1::1"],
    "half.example.org": [PUBLIC, "10.0.0.1"],
    "inner.example.org": ["192.168.1.1"],
    "six.example.org": ["::1"],
    "link.example.org": ["fe80::1%eth0"],
    "metadata.example.org": ["169.254.169.254"],
    "mapped.example.org": ["::ffff:127.0.0.1"],
}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name resolution from a table; starting a process or opening a connection is an error. Names that were asked."""
    names: list[str] = []

    def getaddrinfo(host: str, port: object, **_: object) -> list[Any]:
        names.append(host)
        if host not in ANSWERS:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ANSWERS[host]]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nothing may be started")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    return names


API = Network()
CLI = Network(from_cli=True)
OPEN = Network(
    private_addresses="always", local_paths="always", schemes=("https", "http", "git", "ssh", "svn+ssh")
)

COMMANDS = [
    "ext::sh -c touch% X",
    "ext::sh",
    "fd::17",
    "EXT::sh",
    "http::http://example.org/x",
    "::x",
    "a_b::c",
    "ext://sh -c touch",
    "fd://17",
    "transport://example.org/x",
    "-u./x",
    "--upload-pack=touch X",
    "-",
    "--",
    "ssh://-oProxyCommand=touch/x",
    "ssh://-oProxyCommand=touch%20X/x",
    "ssh://-oX@example.org/x",
    "ssh://%2doX@example.org/x",
    "ssh://user@-oX/x",
    "svn+ssh://-oProxyCommand=touch/x",
    "git@-oX:y",
    "-oX@example.org:y",
    "git@example.org:-oX",
    "example.org:--upload-pack=x",
    "https://-example.org/x",
    "git://-x:9418/y",
    "https://example.org/x\ny",
    "https://example.org/x\r",
    "https://example.org/\0",
    "https://exa\nmple.org/",
    "https://user:pass\nhost=other@example.org/",
    "https://example.org/x\x7f",
    "https://example.org/\x1b[31m",
    "https://example.org/\u2028",
    "https://example.org%0a.example.com/",
    "https://example.org%00/",
    "https://%65xample.org/",
    "https://example.org%0d/x",
    "https://user%0ahost=github.com@example.org/",
    "https://example.org/%0aHost:x",
    "git://example.org/%00",
    "https://user@evil.example@example.org/",
    "http://example.org\\@127.0.0.1/",
    "https://example.org\\x",
    "http:\\\\example.org\\x",
    "\\\\example.org\\x",
    "https://exam ple.org/",
    "https://example.org/a b",
    "https:///x",
    "https://",
    "https://:443/x",
    "https://user@/x",
    "https://@:1/",
    "https://.",
    "https://a..b/",
    "https://example.org:/x",
    "https://example.org:0/x",
    "https://example.org:65536/x",
    "https://example.org:-1/x",
    "https://example.org:80:80/x",
    "https://example.org:٣/x",
    "https://example.org:8a/x",
    "https://[::1/x",
    "https://::1/x",
    "https://[fe80::1%25eth0]/x",
    "https://[fe80::1%eth0]/x",
    "https://[example.org]/x",
    "https://[]/x",
    "https://[::1]x/",
    "https://[v1.x]/",
    "https://exämple.org/",
    "https://127。0。0。1/",
    "https://\u212aernel.org/",
    "https://example.org/\ud800",
    "https://example.org/\udcff",
    "example.org:\udcff",
    "/\ud800",
    "file:///\ud800",
    "https:/example.org/x",
    "https:example.org/x",
    "http:x",
    "file:/etc/passwd",
    "file:etc/passwd",
    "file://etc/passwd",
    "file://example.org/etc",
    "file://",
    "file:///a%00b",
    "file:///a%0ab",
    "file://localhost",
    "relative/path",
    "./x",
    "../x",
    "~/x",
    "x",
    ":pserver:anonymous@example.org:/cvsroot",
    "[::1]:path",
    "git@[example.org:22]:path",
    "user:pw@example.org:path",
    "example.org://x",
    "C:\\x",
    "",
    " ",
    " https://example.org/",
    "https://example.org/" + "a" * MAX_URL,
]


@pytest.mark.parametrize("url", COMMANDS)
@pytest.mark.parametrize("network", [API, CLI, OPEN], ids=["api", "cli", "open"])
def test_what_may_run_commands_or_is_ambiguous_is_refused_everywhere(
    network: Network, url: str, asked: list[str]
) -> None:
    with pytest.raises(InvalidUrl):
        network.check(url)
    assert asked == []


PRIVATE = [
    "127.0.0.1", "127.0.0.1.", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]", "0.0.0.0", "[::]", "127.1", "0",
    "2130706433", "017700000001", "0177.0.0.1", "0x7f.1", "0x7f000001", "0x", "127.0.0.1.1", "127.0.0x1", "08.8.8.8",
    "256.256.256.256", "1e1.0.0.127",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a00:1]", "[::127.0.0.1]", "169.254.169.254", "10.0.0.1",
    "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255", "[fc00::1]",
    "[fd12:3456::1]", "[fe80::1]", "[febf::1]", "[fec0::1]", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "[ff02::1]", "[2001:db8::1]",
    "[2002:7f00:1::]", "[2002:5db8:d822::]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[64:ff9b::7f00:1]",
    "[64:ff9b::a00:1]", "[64:ff9b:1::5db8:d822]", "[100::1]", "[5f00::1]", "[3fff::1]",
    "localhost", "localhost.", "LOCALHOST", "a.localhost", "good@127.0.0.1", "user:pw@[::1]", "127.0.0.1:8080",
    "[::1]:8080", "inner.example.org", "half.example.org", "six.example.org", "link.example.org",
    "metadata.example.org", "mapped.example.org", "INNER.example.org.",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
@pytest.mark.parametrize("scheme", ["http", "git"])
def test_private_addresses_are_refused_in_every_spelling(host: str, scheme: str) -> None:
    with pytest.raises(InvalidUrl):
        API.check(f"{scheme}://{host}/x")
    with pytest.raises(InvalidUrl):
        Network(private_addresses="never", from_cli=True).check(f"{scheme}://{host}/x")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "inner.example.org", "nowhere.example.org"]
)
def test_where_private_addresses_are_allowed_nothing_is_looked_up(host: str, asked: list[str]) -> None:
    for network in (CLI, OPEN):
        target = network.check(f"http://{host}:8080/x")
        assert target.addresses == ()
        assert curl_resolve(target) is None
    assert asked == []


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:2800:220:1::1", "2a00:1450::1", "64:ff9b::808:808", "::ffff:8.8.8.8",
                "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "223.255.255.255"],
)  # fmt: skip
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)
    host = f"[{address}]" if ":" in address else address
    assert len(API.check(f"https://{host}/x").addresses) == 1


@pytest.mark.parametrize("text", ["", "example.org", "127.1", "8.8.8.8.", "2606:2800::1%eth0", "0177.0.0.1"])
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


def test_a_target_has_its_parts_and_the_addresses_that_were_checked() -> None:
    assert API.check("HTTPS://Both.Example.org:8443/a/b?c#d") == Target(
        url="https://both.example.org:8443/a/b?c#d",
        scheme="https",
        host="both.example.org",
        port=8443,
        addresses=(PUBLIC, "2606:2800:220:1::1"),
    )
    assert API.check("git://example.org/x").port is None
    assert API.check("https://user:pass@example.org/x").url == "https://user:pass@example.org/x"
    assert API.check("pserver://anonymous@example.org/cvsroot/module").scheme == "pserver"
    assert API.check("https://example.org.:443/x").url == "https://example.org:443/x"
    assert API.check("https://example.org").url == "https://example.org"
    assert API.check("https://example.org?a=b/c").host == "example.org"
    assert API.check("https://example.org/äöü/%20x/@y:z").url == "https://example.org/äöü/%20x/@y:z"


def test_the_checked_addresses_can_be_pinned_for_git() -> None:
    assert curl_resolve(API.check("https://example.org/x")) == f"example.org:443:{PUBLIC}"
    assert curl_resolve(API.check("http://example.org/x")) == f"example.org:80:{PUBLIC}"
    both = API.check("https://Both.example.org.:8443/x")
    assert curl_resolve(both) == f"both.example.org:8443:{PUBLIC},[2606:2800:220:1::1]"
    assert curl_resolve(API.check("git://example.org/x")) is None
    assert curl_resolve(API.check(f"https://{PUBLIC}/x")) is None


def test_a_host_is_looked_up_once(asked: list[str]) -> None:
    API.check("https://example.org/x")
    assert asked == ["example.org"]


def test_the_form_can_be_judged_without_a_look_up(asked: list[str]) -> None:
    assert API.check("https://nowhere.example.org/x", resolve=False).addresses == ()
    for url in ("https://127.0.0.1/", "https://127.1/", "https://localhost/", "ext::x"):
        with pytest.raises(InvalidUrl):
            API.check(url, resolve=False)
    assert asked == []


def test_a_host_that_cannot_be_found_may_be_found_later() -> None:
    with pytest.raises(Unavailable, match=r"nowhere\.example\.org cannot be found"):
        API.check("https://nowhere.example.org/x")


@pytest.mark.parametrize("scheme", ["https", "http", "git", "svn", "rsync", "pserver", "bzr", "ftp"])
def test_the_listed_schemes_are_allowed(scheme: str) -> None:
    assert API.check(f"{scheme}://example.org/x").scheme == scheme


@pytest.mark.parametrize(
    "scheme", ["ssh", "svn+ssh", "bzr+ssh", "gopher", "data", "about", "hg+ssh", "git+ssh"]
)
def test_other_schemes_are_refused(scheme: str) -> None:
    with pytest.raises(InvalidUrl, match="allowed: https, http"):
        API.check(f"{scheme}://example.org/x")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "mailto:a@example.org", "lp:bzr", "x:y"]
)
def test_other_forms_are_refused(url: str) -> None:
    with pytest.raises(InvalidUrl):
        API.check(url)


@pytest.mark.parametrize("scheme", ["ext", "fd", "file", "", "a b", "-x", "HTTPS"])
def test_some_schemes_cannot_be_listed(scheme: str) -> None:
    with pytest.raises(InvalidInput, match=r"network\.schemes"):
        Network(schemes=("https", scheme))


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("git@example.org:a/b.git", "ssh://git@example.org/a/b.git"),
        ("example.org:a", "ssh://example.org/a"),
        ("git@example.org:/srv/a", "ssh://git@example.org/srv/a"),
        ("git@Example.org:~x/a", "ssh://git@example.org/~x/a"),
        ("git@example.org:a b%20", "ssh://git@example.org/a%20b%2520"),
        ("git@example.org:22/a?b#c", "ssh://git@example.org/22/a%3Fb%23c"),
        ("ssh://git@example.org:2222/a", "ssh://git@example.org:2222/a"),
    ],
)
def test_ssh_is_for_those_at_the_shell(given_url: str, url: str) -> None:
    target = CLI.check(given_url)
    assert (target.url, target.scheme, target.host) == (url, "ssh", "example.org")
    assert Network(schemes=("ssh",)).check(given_url).url == url
    with pytest.raises(InvalidUrl, match="'ssh' are not allowed"):
        API.check(given_url)


@pytest.mark.parametrize(
    ("given_url", "scp"),
    [
        ("git@Example.org:a/b.git", "git@example.org:a/b.git"),
        ("example.org.:a b%20", "example.org:a b%20"),
        ("git@example.org:~x/a", "git@example.org:~x/a"),
        ("git@example.org:/srv/a", None),
        ("ssh://git@example.org/a", None),
        ("https://example.org/a:b", None),
    ],
)
def test_a_path_that_is_relative_to_a_home_folder_is_kept_so(given_url: str, scp: str | None) -> None:
    assert CLI.check(given_url).scp == scp


@pytest.mark.parametrize(
    ("given_url", "path", "url"),
    [
        ("/srv/repo", "/srv/repo", "file:///srv/repo"),
        ("/srv/a b?c#d%20", "/srv/a b?c#d%20", "file:///srv/a%20b%3Fc%23d%2520"),
        ("/srv/b\\c", "/srv/b\\c", "file:///srv/b%5Cc"),
        ("/srv/\udcff", "/srv/\udcff", "file:///srv/%FF"),
        ("file:///srv/repo", "/srv/repo", "file:///srv/repo"),
        ("FILE://LocalHost/srv/a%20b", "/srv/a b", "file://LocalHost/srv/a%20b"),
        ("file:///srv/a?b#c", "/srv/a?b#c", "file:///srv/a?b#c"),
        ("file:///srv/%FF%c3%a4", "/srv/\udcffä", "file:///srv/%FF%c3%a4"),
    ],
)
def test_local_paths_are_for_those_at_the_shell(given_url: str, path: str, url: str) -> None:
    for network in (CLI, OPEN):
        assert network.check(given_url) == Target(url=url, scheme="file", path=Path(path))
    for network in (API, Network(local_paths="never", from_cli=True)):
        with pytest.raises(InvalidUrl, match="local paths are not allowed"):
            network.check(given_url)


def test_the_protocols_git_may_speak_follow_the_policy() -> None:
    assert API.git_protocols() == ("https", "http", "git")
    assert CLI.git_protocols() == ("https", "http", "git", "ssh", "file")
    assert Network(schemes=("https",), local_paths="never", from_cli=True).git_protocols() == ("https", "ssh")
    assert Network(schemes=("svn",)).git_protocols() == ()


def test_the_policy_can_be_had_for_the_other_side() -> None:
    assert CLI.with_cli(False).git_protocols() == API.git_protocols()
    with pytest.raises(InvalidUrl):
        CLI.with_cli(False).check("http://127.0.0.1/")
    assert API.with_cli(True).check("http://127.0.0.1/").host == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    [
        "gopher://user:hunter2@example.org/x",
        "https://user:hunter2@127.0.0.1/x",
        "https://user:hunter2@example.org:0/x",
        "https://user:hunter2@nowhere.example.org/x",
        "https://user:hunter2@exa mple.org/x",
        "https://user:hun/ter2hunter2@example.org/x",
        "https:/user:hunter2@example.org/x",
        "user:hunter2@example.org:x",
        "https://user:\nhunter2@example.org/x",
        "https://user:a@hunter2@example.org/x",
    ],
)
def test_refusals_do_not_show_passwords(url: str) -> None:
    with pytest.raises((InvalidUrl, Unavailable)) as caught:
        API.check(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_secrets_are_masked() -> None:
    assert without_secret("https://user:hunter2@example.org/x") == "https://user:***@example.org/x"
    assert without_secret("https://token@example.org/x") == "https://***@example.org/x"
    assert without_secret("ssh://git@example.org/x") == "ssh://git@example.org/x"


PARTS = st.sampled_from(
    ["https", "http", "ssh", "file", "ext", "://", "::", ":", "/", "//", "@", "-", "[", "]", "%", "%0a", "%00", "\\", "?",
     "#", ".", "localhost", "127.0.0.1", "example.org", "user", "::1", "\n", "\0", " ", "é", "\ud800", "\udcff", "22"]
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(PARTS, max_size=12).map("".join)))
def test_any_text_is_either_refused_or_understood(text: str) -> None:
    said: list[str] = []
    for network in (API, CLI, OPEN):
        try:
            target = network.check(text)
        except (InvalidUrl, Unavailable) as error:
            said.append(str(error))
            continue
        assert target.url.startswith(f"{target.scheme}://")
        assert not target.url.startswith("-")
        assert not any(ord(c) < 32 or c in "\x7f\\" for c in target.url)
        assert network.allows(target.scheme)
        assert (target.path is not None and target.path.is_absolute()) or (
            target.host and target.host[0] != "-"
        )
        if not network.allows_private and target.host:
            assert target.addresses
            assert all(is_public(address) for address in target.addresses)
        assert network.check(target.url) == msgspec.structs.replace(target, scp=None)
        if target.scp is not None:
            assert target.scheme == "ssh"
            assert target.scp[0] not in "-/"
            assert not any(ord(c) < 32 or c in "\x7f\\" for c in target.scp)
            assert network.check(target.scp) == target
    assert all(sentence.isprintable() for sentence in said)
