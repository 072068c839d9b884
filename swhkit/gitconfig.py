"""Which git program there is, and the configuration it reads: ours, never that of a user or a repository's owner.

Which protocols git may speak is said by the caller; without that it speaks none.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from swhkit.errors import InvalidInput, MissingProgram
from swhkit.files import write_whole
from swhkit.process import Runner, find_program
from swhkit.scratch import scratch_folder

#: The oldest git whose behaviour we know.
OLDEST = (2, 39)
#: What git may be allowed to speak; everything else (``ext``, ``fd``, any remote helper) never.
PROTOCOLS = ("https", "http", "git", "ssh", "file")
#: Read by each git child through GIT_CONFIG_GLOBAL: unlike ``-c`` it also reaches the upload-pack at the other end of
#: a local fetch (safe.directory is honoured from such a file only).
_CONFIG = """\
[safe]
	directory = *
[protocol]
	allow = never
	version = 2
{protocols}[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	excludesFile = /dev/null
	fsmonitor = false
	askPass = /bin/false
	pager = cat
	editor = /bin/false
	sshCommand = ssh -oBatchMode=yes
	fsync = objects,derived-metadata
	commitGraph = false
[gc]
	auto = 0
[maintenance]
	auto = false
[fetch]
	unpackLimit = 1
	fsckObjects = false
	writeCommitGraph = false
	recurseSubmodules = false
[receive]
	unpackLimit = 1
	fsckObjects = false
	autogc = false
[transfer]
	unpackLimit = 1
	fsckObjects = false
	bundleURI = false
[submodule]
	recurse = false
[http]
	followRedirects = false
	lowSpeedLimit = 1
	lowSpeedTime = 300
[credential]
	helper =
	interactive = never
[pack]
	writeReverseIndex = false
[uploadpack]
	allowFilter = false
	advertiseBundleURIs = false
[color]
	ui = false
"""


def git_environment(home: Path, *, protocols: Collection[str] = ()) -> dict[str, str]:
    """The environment of a git child that reads our configuration and no other.

    Writes ``home/gitconfig-HASH`` unless it is there. ``protocols``: those of ``PROTOCOLS`` that git may speak.
    """
    unknown = sorted(set(protocols) - set(PROTOCOLS))
    if unknown:
        raise InvalidInput(f"git is not allowed to speak {', '.join(unknown)}; known: {', '.join(PROTOCOLS)}")
    allowed = "".join(f'[protocol "{name}"]\n\tallow = always\n' for name in PROTOCOLS if name in protocols)
    text = _CONFIG.format(protocols=allowed).encode("ascii")
    config = home.absolute() / f"gitconfig-{hashlib.sha256(text).hexdigest()[:16]}"
    if not config.exists():
        write_whole(config, text)
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ADVICE": "0",
        # An object that is not there is not there: no promisor of a stranger's configuration is asked for it.
        "GIT_NO_LAZY_FETCH": "1",
        # A child without git directory must not find one above its working folder and obey its config.
        "GIT_CEILING_DIRECTORIES": str(home.absolute().parent),
        "LC_ALL": "C",
    }


def version() -> tuple[int, ...]:
    """The numbers of the installed git, e.g. ``(2, 39, 5)``. Raises ``MissingProgram`` if there is none."""
    return _version(find_program("git"))


@lru_cache(maxsize=8)
def _version(program: str) -> tuple[int, ...]:
    with scratch_folder("home") as home:
        text = Runner(home).run([program, "--version"], check=False, timeout=30).stdout
    match = re.search(rb"version (\d+(?:\.\d+)*)", text)
    return tuple(int(n) for n in match[1].split(b".")) if match else ()


def require_git() -> None:
    """Raise ``MissingProgram`` unless a git that is new enough is installed."""
    found = version()
    if found < OLDEST:
        wanted, have = ".".join(map(str, OLDEST)), ".".join(map(str, found)) or "of unknown version"
        raise MissingProgram(
            f"git {wanted} or newer is needed, the installed one is {have}: install the package git"
        )
