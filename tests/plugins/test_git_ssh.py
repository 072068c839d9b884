"""Repositories over ssh: whose keys are used, what is said when it fails, and that nothing can be injected."""

from __future__ import annotations

import os
import pwd
import shlex
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from git_samples import Repository, Visits
from servers import SshServer, git_ssh, ssh_key
from waiting import soon

from swhkit.plugin import InvalidUrl, Network, SshKeys, Target, Unavailable
from swhkit_git import GitConfig, swhkit_visit_type
from swhkit_git.remote import address_of
from swhkit_git.ssh import ssh_environment

Make = Callable[..., Repository]


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[SshServer]:
    """An sshd whose home folder is ``tmp_path/origins``."""
    (tmp_path / "origins").mkdir(exist_ok=True)
    with git_ssh(tmp_path / "origins", tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def origin(repository: Make) -> Repository:
    """``origins/org/a b.git``, with an unborn HEAD, which is told by protocol 2 alone."""
    made = repository("org/a b.git")
    made.history(3, "refs/heads/other")
    return made


def options(environment: dict[str, str]) -> list[str]:
    """The options that ssh is given."""
    command = shlex.split(environment["GIT_SSH_COMMAND"])
    assert command[0] == "ssh"
    return command[1:]


def test_every_form_of_url_leads_to_the_repository(
    visits: Visits, origin: Repository, ssh: SshServer
) -> None:
    visits.config = GitConfig(ssh_config=ssh.config)
    expected = visits.load(origin.url).snapshot
    path = str(origin.path).replace(" ", "%20")
    for url in (
        f"{ssh.url}{path}",
        f"{ssh.url}/~/org/a%20b.git",
        f"{ssh.scp}org/a b.git",
        f"{ssh.scp}~/org/a b.git",
    ):
        loaded = visits.load(url)
        assert loaded.snapshot == expected, url
        assert loaded.outcome is None
        assert len(loaded.objects()) == 9


def test_what_git_alone_writes_is_known_as_git() -> None:
    for url in ("git@example.org:org/repo", "me@example.org:/srv/repo", "example.org:repo.git"):
        assert swhkit_visit_type(url) == "git"
    for url in ("example.org:repo", "ext::sh -c x.git", "svn://x@example.org:1/y", "a/b:c.git", "x:///y.git"):
        assert swhkit_visit_type(url) != "git"


def test_only_what_is_new_comes(visits: Visits, origin: Repository, ssh: SshServer) -> None:
    visits.config = GitConfig(ssh_config=ssh.config)
    url = f"{ssh.scp}org/a b.git"
    visits.publish(visits.load(url))
    tip = origin.git("rev-parse", "refs/heads/other")
    origin.commit(b"new", tip, ref="refs/heads/other")
    assert len(visits.load(url).objects()) == 3


@pytest.mark.parametrize("from_cli", [True, False])
def test_the_configuration_alone_gives_keys(
    visits: Visits, origin: Repository, ssh: SshServer, from_cli: bool
) -> None:
    """Also to what strangers ask for, where an administrator has allowed that."""
    visits.network = Network(from_cli=from_cli, schemes=("ssh",), private_addresses="always")
    visits.config = GitConfig(ssh_config=ssh.config)
    assert visits.load(f"{ssh.scp}org/a b.git").packs


def test_the_agent_is_for_what_was_typed_at_the_shell(
    visits: Visits, origin: Repository, ssh: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh.config.write_text(
        f"Port {ssh.port}\nIdentityFile {ssh.folder}/other\nUserKnownHostsFile {ssh.folder}/known_hosts\n"
    )
    url = f"{ssh.scp}org/a b.git"
    visits.config = GitConfig(ssh_config=ssh.config)
    with pytest.raises(Unavailable, match="none of the keys"):
        visits.load(url)
    place = ssh.folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", place], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        add = ["ssh-add", "-q", str(ssh.folder / "id")]
        # Its socket has a name before anybody listens at it.
        assert soon(lambda: subprocess.run(add, check=False, capture_output=True).returncode == 0), (
            agent.poll()
        )
        assert visits.load(url).packs
        visits.network = Network(schemes=("ssh",), private_addresses="always")
        with pytest.raises(Unavailable, match="none of the keys"):
            visits.load(url)
    finally:
        agent.kill()
        agent.wait()


def test_strangers_get_no_keys_of_the_operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    target = Network(schemes=("ssh",), private_addresses="always").check("ssh://h.invalid/x")
    stranger = ssh_environment(target, SshKeys())
    assert "SSH_AUTH_SOCK" not in stranger
    assert options(stranger)[:2] == ["-F", "none"]
    assert {"-oIdentityFile=none", "-oIdentityAgent=none"} <= set(options(stranger))
    person = ssh_environment(target, SshKeys(own=True))
    assert person["SSH_AUTH_SOCK"] == "/run/agent"
    assert not {"-F", "-oIdentityFile=none", "-oIdentityAgent=none"} & set(options(person))
    given = ssh_environment(target, SshKeys(config=tmp_path / "a b; touch x"))
    assert options(given)[:2] == ["-F", f"{tmp_path}/a b; touch x"]
    monkeypatch.setenv("SSH_AUTH_SOCK", "relative")
    assert "SSH_AUTH_SOCK" not in ssh_environment(target, SshKeys(own=True))
    # As ssh itself understands them.
    shown = subprocess.run(["ssh", *options(stranger), "-G", "h"], check=True, capture_output=True, text=True)
    settings = dict(line.split(" ", 1) for line in shown.stdout.splitlines() if " " in line)
    assert settings["identityfile"] == settings["identityagent"] == "none"
    assert (settings["batchmode"], settings["forwardagent"], settings["controlmaster"]) == (
        "yes",
        "no",
        "false",
    )
    assert (settings["connecttimeout"], settings["serveraliveinterval"]) == ("30", "30")


def test_the_users_own_folder_is_found_though_home_is_empty(visits: Visits) -> None:
    """OpenSSH asks the password database; ``ssh -G`` says which files it would read."""
    target = visits.network.check("ssh://h.invalid/x")
    argv = ["ssh", *options(ssh_environment(target, SshKeys(own=True))), "-G", "h"]
    context = visits.context("ssh://h.invalid/x")
    shown = context.runner.run(argv).stdout.decode()
    assert f"{pwd.getpwuid(os.getuid()).pw_dir}/.ssh/known_hosts" in shown
    assert str(context.runner.home) not in shown


def test_connections_go_to_the_address_that_was_checked(
    visits: Visits, origin: Repository, ssh: SshServer
) -> None:
    """The name leads nowhere; its host key is the one that is known under the name."""
    target = Target(
        url=f"ssh://{ssh.user}@checked.invalid:{ssh.port}{origin.path}".replace(" ", "%20"),
        scheme="ssh", host="checked.invalid", port=ssh.port, addresses=("127.0.0.1", "::9"),
    )  # fmt: skip
    known = ssh.folder / "known_hosts"
    known.write_text(known.read_text().replace("127.0.0.1", "checked.invalid"))
    address = address_of(target, SshKeys(config=ssh.config))
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **address.environment}
    argv = ["git", "ls-remote", address.text]
    listed = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True)
    assert "refs/heads/other" in listed.stdout


# -- when it fails --------------------------------------------------------------------------------------------------


def test_a_host_key_that_is_not_known(visits: Visits, origin: Repository, ssh: SshServer) -> None:
    visits.config = GitConfig(ssh_config=ssh.config)
    known = ssh.folder / "known_hosts"
    other = ssh_key(ssh.folder / "impostor").with_suffix(".pub").read_text().split()[1]
    for text in ("", f"[127.0.0.1]:{ssh.port} ssh-ed25519 {other}\n"):
        known.write_text(text)
        with pytest.raises(Unavailable, match="does not know the server's host key") as caught:
            visits.load(f"{ssh.scp}org/a b.git")
        assert "known_hosts" in str(caught.value)
        assert "@@@" not in str(caught.value)
        assert str(caught.value).isprintable()
        assert known.read_text() == text


@pytest.mark.parametrize("passphrase", ["", "secret"])
def test_a_key_that_is_not_taken_or_cannot_be_used(
    visits: Visits, origin: Repository, ssh: SshServer, passphrase: str
) -> None:
    visits.config = GitConfig(ssh_config=ssh.config)
    (ssh.folder / "id").unlink()
    ssh_key(ssh.folder / "id2", passphrase).rename(ssh.folder / "id")
    with pytest.raises(Unavailable, match=r"none of the keys.*ssh_config.*Permission denied") as caught:
        visits.load(f"{ssh.scp}org/a b.git")
    assert str(caught.value).isprintable()


def test_no_repository_there(visits: Visits, origin: Repository, ssh: SshServer) -> None:
    visits.config = GitConfig(ssh_config=ssh.config)
    with pytest.raises(Unavailable, match="does not appear to be a git repository"):
        visits.load(f"{ssh.scp}org/none.git")


def test_nobody_listens(visits: Visits, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable, match="Connection refused"):
        visits.load(f"ssh://127.0.0.1:{port}/x.git")
    with pytest.raises(Unavailable, match="Could not resolve"):
        visits.load("ssh://nobody.invalid/x.git")
    visits.config = GitConfig(ssh_config=tmp_path / "none")
    with pytest.raises(Unavailable, match="Can't open user config file"):
        visits.load("ssh://nobody.invalid/x.git")


def test_a_silent_server_is_given_up(visits: Visits) -> None:
    visits.config = GitConfig(listing_time=0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="in time"):
        visits.load(f"ssh://127.0.0.1:{silent.getsockname()[1]}/x.git")


def test_what_a_server_says_is_cleaned(visits: Visits) -> None:
    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"\x1b[31mred\x07 not ssh\r\n" * 3)
            connection.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with pytest.raises(Unavailable) as caught:
            visits.load(f"ssh://127.0.0.1:{server.getsockname()[1]}/x.git")
        thread.join(10)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "ssh://-oProxyCommand=touch%20MARK/x",
        "ssh://-oProxyCommand=touch${IFS}MARK/x",
        "ssh://-l@example.invalid/x",
        "ssh://%2doProxyCommand=x@example.invalid/x",
        "-oProxyCommand=touch MARK:x",
        "-oX:y",
        "git@-oProxyCommand=touch MARK:y",
        "git@example.invalid:-oProxyCommand=x",
        "git@[-oProxyCommand=x]:y",
        "git@`touch MARK`:y",
        "git@$(touch MARK):y",
        "$(touch MARK)@-x:y",
        "git@example.invalid:a\nb",
        "ssh://example.invalid/a%0ab",
    ],
)
def test_no_option_gets_to_ssh(visits: Visits, url: str) -> None:
    mark = visits.root / "mark"
    with pytest.raises(InvalidUrl):
        visits.load(url.replace("MARK", str(mark)))
    assert list((visits.root / "home1").iterdir()) == []
    assert not mark.exists()


def test_a_path_is_not_read_by_the_far_shell(visits: Visits, ssh: SshServer, tmp_path: Path) -> None:
    visits.config = GitConfig(ssh_config=ssh.config)
    for path in (
        "a';touch mark;'",
        "$(touch mark)",
        "`touch mark`",
        "--upload-pack=touch mark",
        "a;touch mark",
    ):
        with pytest.raises((Unavailable, InvalidUrl)):
            visits.load(f"{ssh.scp}{path}")
    assert not list(tmp_path.rglob("mark"))
