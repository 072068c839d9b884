"""Helpers of the tests of archive loaders: archives written member by member, visits of them, and what came of it."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
from archives import archive, shell
from servers import http_server

from swhkit import visit
from swhkit.archive import Archive
from swhkit.identify import Options, identify
from swhkit.plugin import Kind, Limits, Loader, Network, ObjectId
from swhkit.swhid import parse_core
from swhkit_tarball import ContentConfig, TarballConfig, TarConfig
from swhkit_tarball.loader import make_content, make_directory, make_tarball
from swhkit_tarball.releases import make as make_package

#: A file as bytes, an executable one or another kind of member as ``TarInfo`` settings with its bytes.
Members = Mapping[str, bytes | tuple[dict[str, Any], bytes]]
_MAKERS = {
    "tarball-directory": (make_tarball, TarballConfig),
    "directory": (make_directory, TarballConfig),
    "content": (make_content, ContentConfig),
    "tar": (make_package, TarConfig),
}


def tar(path: Path, members: Members, mode: str = "w") -> Path:
    """A tar archive; ``mode`` as ``tarfile.open`` has it."""
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for name, what in members.items():
            settings, data = what if isinstance(what, tuple) else ({}, what)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in settings.items():
                setattr(info, key, value)
            file.addfile(info, io.BytesIO(data))
    return path


def sha256(path: Path) -> str:
    """The checksum of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def root_of(path: Path) -> str:
    """What ``swhkit identify`` says of a folder, or of what an archive holds."""
    return str(list(identify(str(path), Options(type="dir")))[-1].id)


class Loads:
    """Visits into one archive."""

    def __init__(self, target: Archive) -> None:
        self.archive = target

    def load(
        self,
        url: str | Path,
        type: str = "tarball-directory",
        limits: Limits | None = None,
        network: Network | None = None,
        **options: Any,
    ) -> visit.Report:
        """Visit once, with these settings of the loader."""
        make, config = _MAKERS[type]
        loader: Loader = make(msgspec.convert(options, config))  # type: ignore[operator]
        address = f"file://{url}" if isinstance(url, Path) else url
        return visit.run(
            self.archive, loader, address, type, network=network or shell(), limits=limits or Limits()
        )

    def head(self, report: visit.Report) -> str:
        """Where ``HEAD`` of a visit leads."""
        assert report.snapshot, report
        snapshot = self.archive.catalog.snapshot(parse_core(report.snapshot).digest)
        assert snapshot is not None
        branch = snapshot.branches[b"HEAD"]
        assert branch is not None
        assert branch.type.kind is not None
        return str(ObjectId(branch.type.kind, branch.target))

    def counts(self) -> tuple[int, int]:
        """How many contents and directories are held."""
        counters = self.archive.catalog.counters()
        return counters["content"], counters["directory"]

    def files(self, root: str, path: bytes = b"") -> dict[bytes, bytes]:
        """All files below a directory, by path."""
        from swhkit.manifest import parse_directory

        id, found = parse_core(root), dict[bytes, bytes]()
        for entry in parse_directory(self.archive.read([id])[id]).entries:
            place = path + b"/" + entry.name if path else entry.name
            if entry.type == "dir":
                found |= self.files(str(ObjectId(Kind.DIRECTORY, entry.target)), place)
            else:
                content = ObjectId(Kind.CONTENT, entry.target)
                found[place] = b"".join(self.archive.objects.stream(content))
        return found


@contextmanager
def loads(folder: Path, store: str = "memory") -> Iterator[Loads]:
    """Visits into an archive in ``folder``."""
    folder.mkdir(exist_ok=True)
    with archive(store, folder) as target:
        yield Loads(target)


class _Files(BaseHTTPRequestHandler):
    """Serves the files of a folder as they are, and says when they were changed; ``/moved/NAME`` redirects to ``NAME``."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        asked = self.path if self.command == "GET" else f"{self.command} {self.path}"
        self.server.requests.append(asked)  # type: ignore[attr-defined]
        name = self.path.lstrip("/")
        file = self.server.root / name  # type: ignore[attr-defined]
        if name.startswith("moved/"):
            self.send_response(302)
            self.send_header("Location", f"/{name.removeprefix('moved/')}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif file.is_file():
            data = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Last-Modified", self.date_time_string(file.stat().st_mtime))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


#: A plain web server over a folder; ``requests`` has the paths that were asked for.
web = partial(http_server, _Files)


def unpacked_by_tar(path: Path, folder: Path) -> Path:
    """What ``tar`` makes of an archive."""
    folder.mkdir()
    subprocess.run(["tar", "-xf", path, "-C", folder], check=True)
    return folder
