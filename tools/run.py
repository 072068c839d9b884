"""What ``make run`` does: archive one repository, read one of its files back over HTTP, serve.

The repository is the one named by ORIGIN, or this checkout. Only what is committed is archived; a checkout that is no
complete git repository (a tarball, a shallow clone) is first committed, as it stands, into a scratch repository of its
own. The archive lies in ``run/``. At a terminal the server stays until Ctrl-C; elsewhere it stops when the file has
been read. LISTEN=HOST:PORT says where to serve: port 5080 by default, or any free one when that is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARCHIVE = ROOT / "run"
SCRATCH = ROOT / ".make" / "checkout.git"
SWHKIT = Path(sys.executable).parent / "swhkit"
HOST, PORT = "127.0.0.1", 5080
READY_SECONDS, STOP_SECONDS = 60.0, 20.0


def say(text: str = "") -> None:
    """One line for the person who waits."""
    print(text, flush=True)


def git(
    *args: str | Path, git_dir: Path | None = None, tree: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run git on ``tree`` (with ``git_dir``, if it is not in there), free of anyone's configuration."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        # A checkout may belong to somebody else, as in a container.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    for role in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{role}_NAME": "make run", f"GIT_{role}_EMAIL": "run@localhost"}
    where = [f"--git-dir={git_dir}"] if git_dir else []
    where += [f"--work-tree={tree}"] if tree and git_dir else []
    argv = ["git", *where, *map(str, args)]
    return subprocess.run(argv, cwd=tree, env=environment, capture_output=True, text=True, errors="replace")


def incomplete(tree: Path) -> str | None:
    """Why ``tree`` is no complete git repository of its own, or None when it is one."""

    def answer(*args: str) -> str | None:
        done = git(*args, tree=tree)
        return done.stdout.strip() if done.returncode == 0 else None

    top = answer("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != tree.resolve():
        return "is no git repository"
    if answer("rev-parse", "--verify", "-q", "HEAD^{commit}") is None:
        return "has no commits"
    if answer("rev-parse", "--is-shallow-repository") != "false":
        return "is a shallow clone"
    if answer("rev-parse", "--show-object-format") != "sha1":
        return "does not use SHA-1 object ids"
    if (
        answer("config", "extensions.partialClone")
        or answer("rev-list", "--objects", "--all", "--quiet") is None
    ):
        return "lacks some of its objects"
    return None


def committed(tree: Path, git_dir: Path) -> Path:
    """Commit ``tree`` as it stands into the repository ``git_dir``, made if need be. Nothing new: no new commit.

    Raises ``SystemExit`` with git's own words when git refuses.
    """

    def must(*args: str | Path) -> None:
        done = git(*args, git_dir=git_dir, tree=tree)
        if done.returncode != 0:
            raise SystemExit(f"{tree} cannot be committed to {git_dir}: {done.stderr.strip()}")

    if not git_dir.exists():
        git_dir.parent.mkdir(parents=True, exist_ok=True)
        must("init", "-q", "--template=", "-b", "main")
    must("add", "-A", ".")
    born = git("rev-parse", "--verify", "-q", "HEAD", git_dir=git_dir).returncode == 0
    if not born or git("diff", "--cached", "--quiet", "HEAD", git_dir=git_dir, tree=tree).returncode != 0:
        must("commit", "-q", "--no-gpg-sign", "--no-verify", "-m", "The tree as it stands")
    return git_dir


def origin() -> str:
    """The URL or path to archive."""
    if named := os.environ.get("ORIGIN", "").strip():
        return named
    if (why := incomplete(ROOT)) is None:
        say(f"Archiving what is committed in {ROOT}")
        return str(ROOT)
    repository = committed(ROOT, SCRATCH)
    say(f"{ROOT} {why}: its files are archived as one commit, from the scratch repository {repository}")
    return str(repository)


def load(url: str) -> dict[str, Any]:
    """Archive ``url``; the report that ``swhkit load --json`` gives. Raises ``SystemExit`` when the visit fails."""
    config = ARCHIVE / "swhkit.yaml"
    if not config.exists():
        done = subprocess.run([SWHKIT, "init", ARCHIVE], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise SystemExit(done.returncode)
    done = subprocess.run(
        [SWHKIT, "--config", config, "load", "--json", "--", url],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    reports = json.loads(done.stdout or b"[]")
    if not reports:
        raise SystemExit(done.returncode or 1)
    report: dict[str, Any] = reports[0]
    if report["snapshot"] is None:
        raise SystemExit(f"The visit of {report['origin']} is {report['status']}: {report['error']}")
    new = ", ".join(f"{count:,} {kind}" for kind, count in report["new"].items() if count) or "nothing new"
    say(
        f"Visit {report['visit']} of {report['origin']}: {report['status']} in {report['seconds']:.1f} s, {new}"
    )
    return report


def address() -> str:
    """Where to serve: LISTEN, or the usual port, or any when that is taken."""
    if named := os.environ.get("LISTEN", "").strip():
        return named
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, PORT))
        except OSError:
            return f"{HOST}:0"
    return f"{HOST}:{PORT}"


@contextmanager
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running ``swhkit serve`` and its base URL; it is stopped, and waited for, on the way out."""
    argv: list[str | Path] = [SWHKIT, "--config", ARCHIVE / "swhkit.yaml", "serve", "--listen", address()]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as child:
        # A server that never gets ready is ended, which ends the reading below.
        watch = threading.Timer(READY_SECONDS, child.kill)
        watch.start()
        try:
            assert child.stdout is not None
            found = next(filter(None, (re.search(r"https?://[^\s/]+", line) for line in child.stdout)), None)
            watch.cancel()
            if found is None:
                raise SystemExit("swhkit serve ended before it was ready")
            # What else it says is passed on; a pipe that nobody reads would stop it one day.
            threading.Thread(target=shutil.copyfileobj, args=(child.stdout, sys.stdout), daemon=True).start()
            yield child, found[0]
        finally:
            watch.cancel()
            stop(child)


def stop(child: subprocess.Popen[str]) -> None:
    """End a child: kindly first."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


class Api:
    """The few calls of the web API that lead from a snapshot to a file."""

    def __init__(self, base: str) -> None:
        self.base = f"{base}/api/1"

    def get(self, path: str) -> bytes:
        """The body at ``path`` (which has its leading slash). Raises ``OSError`` when the answer is no 200."""
        with urllib.request.urlopen(self.base + path, timeout=60) as response:
            body: bytes = response.read()
            return body

    def json(self, path: str) -> Any:
        """The decoded answer."""
        return json.loads(self.get(path))

    def branch(self, snapshot: str) -> dict[str, str] | None:
        """Where HEAD of a snapshot points in the end, or else its first branch that points anywhere."""
        branches = self.json(f"/snapshot/{snapshot}/")["branches"]
        name, seen = "HEAD" if branches.get("HEAD") else next((n for n, b in branches.items() if b), ""), 0
        while name in branches and (branch := branches[name]) and seen < len(branches):
            if branch["target_type"] != "alias":
                found: dict[str, str] = branch
                return found
            name, seen = branch["target"], seen + 1
        return None

    def directory(self, kind: str, target: str) -> str | None:
        """The id of the root directory of a release, revision or directory; None for a content or snapshot."""
        while kind == "release":
            release = self.json(f"/release/{target}/")
            kind, target = release["target_type"], release["target"]
        if kind == "revision":
            directory: str = self.json(f"/revision/{target}/")["directory"]
            return directory
        return target if kind == "directory" else None


def read_back(api: Api, snapshot: str) -> tuple[str, str]:
    """One object below a snapshot, read over HTTP: its SWHID and URL. A file's bytes are hashed and must fit."""
    head = api.branch(snapshot)
    root = head and api.directory(head["target_type"], head["target"])
    if not root:
        return f"swh:1:snp:{snapshot}", f"{api.base}/snapshot/{snapshot}/"
    entries = [entry for entry in api.json(f"/directory/{root}/") if entry["type"] == "file"]
    if not entries:
        return f"swh:1:dir:{root}", f"{api.base}/directory/{root}/"
    entry = min(entries, key=lambda entry: (not entry["name"].upper().startswith("README"), entry["name"]))
    path = f"/content/sha1_git:{entry['target']}/raw/"
    body = api.get(path)
    digest = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    if digest != entry["target"]:
        raise SystemExit(f"{api.base}{path} gave bytes whose id is {digest}")
    say(f"Read {entry['name']} back over HTTP: {len(body):,} bytes, and they hash to their id")
    return f"swh:1:cnt:{digest}", api.base + path


def main() -> None:
    """Load, serve, read back; stay when somebody watches."""
    watched = sys.stdin.isatty() and sys.stdout.isatty()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the server goes with us
    try:
        report = load(origin())
        with server() as (child, base):
            swhid, url = read_back(Api(base), report["snapshot"].rpartition(":")[2])
            say(f"  {swhid}\n  {url}")
            if watched:
                say(f"Serving {ARCHIVE} at {base}/ (Ctrl-C ends it)")
                child.wait()
    except OSError as error:
        raise SystemExit(f"The archive did not answer as it should: {error}") from None
    except KeyboardInterrupt:
        say()


if __name__ == "__main__":
    main()
