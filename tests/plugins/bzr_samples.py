"""What the tests of Bazaar share: branches made with brz, servers, visits."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from archives import archive, shell
from servers import free_port, http_server, wait_for

from swhkit import visit
from swhkit.archive import Archive
from swhkit.model import Snapshot
from swhkit.swhid import Kind, ObjectId, parse_core
from swhkit_bzr import BzrConfig
from swhkit_bzr.loader import make

_BRZ = shutil.which("brz") or "brz"


def _environment(home: Path) -> dict[str, str]:
    """Debian's brz finds its Python beside the first ``python3`` on the PATH."""
    return {
        "PATH": f"{Path(_BRZ).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "BRZ_HOME": str(home),
        "BRZ_EMAIL": "Ann <ann@example.org>",
        "BRZ_LOG": os.devnull,
        "BRZ_PLUGIN_PATH": "-user:-site",
        "LC_ALL": "C.UTF-8",
    }


class Brz:
    """Runs brz in a folder of branches."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root

    def __call__(self, *arguments: str | Path, at: str = ".") -> str:
        done = subprocess.run(
            [_BRZ, *map(str, arguments)],
            cwd=self.root / at, env=_environment(self.root), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def init(self, name: str, format: str = "2a") -> Path:
        """A new branch with a working tree."""
        self("init", "--quiet", f"--format={format}", name)
        return self.root / name

    def commit(self, name: str, message: str, *options: str, add: bool = True) -> str:
        """Add what is new (unless not wanted), commit; returns the id of the revision."""
        if add:
            self("add", "--quiet", at=name)
        self("commit", "--quiet", "--unchanged", "-m", message, *options, at=name)
        return self.tip(name)

    def tip(self, name: str) -> str:
        return self("revision-info", "--directory", name).split()[-1]


class Visits:
    """An archive in memory, and visits of Bazaar branches into it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open = archive("memory", folder)

    def __enter__(self) -> Visits:
        self.archive: Archive = self._open.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self._open.__exit__(*details)

    def load(self, url: str | Path, **options: Any) -> visit.Report:
        return visit.run(
            self.archive,
            make(BzrConfig()),
            str(url),
            "bzr",
            network=options.pop("network", shell()),
            **options,
        )

    def snapshot(self, report: visit.Report) -> Snapshot:
        assert report.snapshot is not None, report
        found = self.archive.catalog.snapshot(parse_core(report.snapshot).digest)
        assert found is not None
        return found

    def revision(self, id: str) -> bytes:
        """The body of the archive's revision for a revision id."""
        (extid,) = self.archive.catalog.extids("bzr-nodeid", [id.encode()], 1)
        digest = ObjectId(Kind.REVISION, extid.digest)
        return self.archive.read([digest])[digest]


def tree_of(folder: Path) -> str:
    """The id of a folder on disk as git would have it, empty folders kept."""
    return _tree(folder).hex()


def _tree(folder: Path) -> bytes:
    entries = []
    for path in folder.iterdir():
        name = os.fsencode(path.name)
        if path.is_symlink():
            entries.append((name, b"120000", name, _hash(b"blob", os.fsencode(path.readlink()))))
        elif path.is_dir():
            entries.append((name + b"/", b"40000", name, _tree(path)))
        else:
            mode = b"100755" if path.stat().st_mode & 0o100 else b"100644"
            entries.append((name, mode, name, _hash(b"blob", path.read_bytes())))
    return _hash(b"tree", b"".join(b"%s %s\0%s" % entry[1:] for entry in sorted(entries)))


def _hash(kind: bytes, body: bytes) -> bytes:
    return hashlib.sha1(b"%s %d\0%s" % (kind, len(body), body)).digest()


@contextmanager
def bzr_server(root: Path) -> Iterator[str]:
    """``brz serve`` over everything below ``root``; yields ``bzr://127.0.0.1:PORT``."""
    port = free_port()
    argv = [_BRZ, "serve", "--listen=127.0.0.1", f"--port={port}", f"--directory={root}"]
    process = subprocess.Popen(argv, env=_environment(root), stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield f"bzr://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class _Files(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        for prefix, place in (("/old/", "/"), ("/bad/", "http://10.0.0.1/")):
            if self.path.startswith(prefix):
                self.send_response(302)
                self.send_header("Location", place + self.path.removeprefix(prefix))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web_server(root: Path) -> Iterator[str]:
    """The files below ``root`` as any web server has them; yields ``http://127.0.0.1:PORT``.

    What is below ``/old/`` is redirected to ``/``, and what is below ``/bad/`` to a private address.
    """
    with http_server(partial(_Files, directory=str(root))) as server:  # type: ignore[arg-type]  # as good as a class
        yield f"http://127.0.0.1:{server.server_port}"
