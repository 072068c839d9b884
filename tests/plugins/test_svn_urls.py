"""Which URLs are taken for Subversion's, and how its programs are told where to go."""

from __future__ import annotations

import gzip
import os
import subprocess
from pathlib import Path

import pytest
from archives import shell
from svn_servers import SvnRepository, folder

from swhkit.net import Network, Target
from swhkit.plugin import SshKeys
from swhkit.process import Runner
from swhkit_git import swhkit_visit_type as git_visit_type
from swhkit_svn import swhkit_visit_type
from swhkit_svn.access import Access
from swhkit_svn.ssh import ssh_environment

OURS = (
    "svn://svn.example.org/repo", "svn+ssh://host/repo", "svn://host", "https://svn.example.org/repos/asf",
    "http://example.org/svn/repo/trunk", "https://svn.code.sf.net/p/name/code", "http://h/x.svndump.gz",
    "https://h/dumps/x.svn.dump",
)  # fmt: skip
NOT_OURS = (
    "https://example.org/project", "https://github.com/a/svn", "https://github.com/svn/hooks.git", "https://h/svn.git",
    "git@svn.example.org:a/b", "https://svnbook.example.org/", "https://h/svnadmin/x", "ftp://h/svn/x", "hg+http://svn.h/x",
    "https://[bad/svn/x", "", "svn", "relative/svn/path", "https://svn.code.sf.net/other",
)  # fmt: skip


@pytest.mark.parametrize("url", OURS)
def test_ours(url: str) -> None:
    assert swhkit_visit_type(url) == "svn"
    assert git_visit_type(url) is None


@pytest.mark.parametrize("url", NOT_OURS)
def test_not_ours(url: str) -> None:
    assert swhkit_visit_type(url) is None or git_visit_type(url) is not None


def test_what_is_here(tmp_path: Path) -> None:
    repository = SvnRepository(tmp_path / "a b" / "repo")
    repository.commit(folder("trunk"))
    (tmp_path / "a b" / "it").write_bytes(repository.dump())
    (tmp_path / "a b" / "it.svndump.gz").write_bytes(gzip.compress(repository.dump()))
    (tmp_path / "a b" / "else.gz").write_bytes(gzip.compress(b"else"))
    for name in ("repo", "repo/trunk", "it", "it.svndump.gz"):
        assert swhkit_visit_type(f"{tmp_path}/a b/{name}") == "svn"
        assert swhkit_visit_type(f"file://{tmp_path}/a%20b/{name}") == "svn"
    for name in ("", "else.gz", "nothing", "repo/db/x"):
        assert swhkit_visit_type(f"{tmp_path}/a b/{name}") is None


def access(tmp_path: Path, target: Target) -> Access:
    return Access(Runner(tmp_path), target, tmp_path, SshKeys())


def test_the_checked_address_is_connected(tmp_path: Path) -> None:
    target = Target(
        url="svn://u@h.example:99/r/x/",
        scheme="svn",
        host="h.example",
        port=99,
        addresses=("2001:db8::1", "192.0.2.7"),
    )
    assert access(tmp_path, target).url == "svn://192.0.2.7:99/r/x"
    target = Target(
        url="svn+ssh://u@h.example:99/r",
        scheme="svn+ssh",
        host="h.example",
        port=99,
        addresses=("192.0.2.7",),
    )
    assert access(tmp_path, target).url == "svn+ssh://u@h.example/r"
    words = ssh_environment(target, SshKeys())["SVN_SSH"]
    for word in (
        "-oHostName=192.0.2.7",
        "-oHostKeyAlias=[h.example]:99",
        "-oPort=99",
        "-oBatchMode=yes",
        "-oIdentityFile=none",
    ):
        assert word in words
    assert words.endswith(" --")


def test_ssh_is_told_words(tmp_path: Path) -> None:
    """Each word arrives as it is, whatever is in it."""
    marker = tmp_path / "arguments"
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {marker}\n')
    program.chmod(0o755)
    target = Network(schemes=("svn+ssh",), private_addresses="always").check("svn+ssh://h.invalid/x")
    odd = tmp_path / "a b; touch 'x\\\""
    environment = ssh_environment(target, SshKeys(config=odd))
    path = f"{program.parent}:{os.environ['PATH']}"
    subprocess.run(
        ["svn", "info", "--non-interactive", target.url],
        env=environment | {"PATH": path},
        capture_output=True,
    )
    words = marker.read_text().splitlines()
    assert words[:2] == ["-F", str(odd)]
    assert words[-5] == "-q"
    assert words[-4:] == ["--", "h.invalid", "svnserve", "-t"]


def test_a_password_is_in_no_argument(tmp_path: Path) -> None:
    reached = access(tmp_path, shell().check("svn://ann:se%20cret@h.example/r"))
    assert reached.is_secret
    assert "--username" in reached._options
    assert not [option for option in (*reached._options, reached.url) if "cret" in option]
