"""What the tests of CVS share: RCS files by hand, repositories, visits of them, and servers (rsync, ``cvs pserver``)."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from archives import archive, shell

from swhkit import manifest, visit
from swhkit.archive import Archive
from swhkit.model import Entry, Revision
from swhkit.net import Network
from swhkit.plugin import Limits
from swhkit.swhid import Kind, ObjectId, parse_core
from swhkit_cvs import CvsConfig
from swhkit_cvs.loader import make


class Rev(msgspec.Struct, kw_only=True):
    """A revision of a file: ``text`` is whole for the head of a file, and else the delta from the one before it."""

    number: str = "1.1"
    date: str = "2001.01.01.10.00.00"
    text: bytes = b""
    log: bytes = b"log\n"
    author: str = "ann"
    state: str = "Exp"
    next: str = ""
    branches: tuple[str, ...] = ()
    commitid: str = ""


def rcs(*revisions: Rev, expand: str | None = None, branch: str = "", locks: str = "") -> bytes:
    """An RCS file with these revisions, in this order; the first is its head."""
    mode = "" if expand is None else f"expand\t@{expand}@;\n"
    default = f"branch\t{branch};\n" if branch else ""
    parts = [
        f"head\t{revisions[0].number};\n{default}access;\nsymbols;\nlocks{locks}; strict;\n{mode}\n".encode()
    ]
    for one in revisions:
        id = f"commitid\t{one.commitid};\n" if one.commitid else ""
        parts.append(
            f"\n{one.number}\ndate\t{one.date};\tauthor {one.author};\tstate {one.state};\n"
            f"branches{''.join(f' {name}' for name in one.branches)};\nnext\t{one.next};\n{id}".encode()
        )
    parts.append(b"\n\ndesc\n@@\n")
    for one in revisions:
        log, text = (part.replace(b"@", b"@@") for part in (one.log, one.text))
        parts.append(b"\n\n%b\nlog\n@%b@\ntext\n@%b@\n" % (one.number.encode(), log, text))
    return b"".join(parts)


def at(seconds: int) -> str:
    """The date of a revision, in seconds after 2001-01-01 10:00:00."""
    return time.strftime("%Y.%m.%d.%H.%M.%S", time.gmtime(978343200 + seconds))


def write(root: Path, files: Mapping[str, bytes], config: bytes = b"") -> Path:
    """A repository with a module ``mod`` that has these RCS files (names with ``,v``). Returns the module's folder."""
    (root / "CVSROOT").mkdir(parents=True, exist_ok=True)
    (root / "CVSROOT" / "config").write_bytes(config)
    (root / "mod").mkdir(exist_ok=True)
    for name, data in files.items():
        path = root / "mod" / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / "mod"


class Step(msgspec.Struct):
    """A revision of ours: what it says, and what its tree holds (folders end in ``/`` and hold nothing here)."""

    revision: Revision
    tree: dict[str, bytes]

    @property
    def said(self) -> tuple[bytes, bytes, int]:
        """Author, message, and seconds after 2001-01-01 10:00:00."""
        revision = self.revision
        assert revision.author
        assert revision.date
        assert revision.message is not None
        return revision.author.fullname, revision.message, revision.date.seconds - 978343200


class Visits:
    """Visits, all into one archive."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def run(
        self,
        origin: Path | str,
        config: CvsConfig = CvsConfig(),  # noqa: B008 (frozen)
        network: Network | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
    ) -> visit.Report:
        """Visit once."""
        url = origin if isinstance(origin, str) else f"file://{origin}"
        return visit.run(self.archive, make(config), url, "cvs", network=network or shell(), limits=limits)

    def history(self, report: visit.Report) -> list[Step]:
        """All revisions below HEAD of a visit that had them, oldest first."""
        assert report.snapshot is not None, report
        snapshot = self.archive.catalog.snapshot(parse_core(report.snapshot).digest)
        assert snapshot is not None
        steps: list[Step] = []
        head = snapshot.branches.get(b"HEAD")
        next = [head.target] if head else []
        while next:
            revision = manifest.parse_revision(self._read(Kind.REVISION, next[0]))
            steps.append(Step(revision, dict(self._tree(revision.directory, ""))))
            next = list(revision.parents)
        return steps[::-1]

    def load(self, origin: Path | str) -> list[Step]:
        """Visit, which has to come to a full end, and return the history."""
        report = self.run(origin)
        assert report.status == "full", report
        return self.history(report)

    def _read(self, kind: Kind, digest: bytes) -> bytes:
        id = ObjectId(kind, digest)
        return self.archive.read([id])[id]

    def _tree(self, digest: bytes, above: str) -> Iterator[tuple[str, bytes]]:
        entry: Entry
        for entry in manifest.parse_directory(self._read(Kind.DIRECTORY, digest)).entries:
            path = above + os.fsdecode(entry.name)
            if entry.type == "dir":
                yield f"{path}/", b""
                yield from self._tree(entry.target, f"{path}/")
            else:
                assert entry.perms == 0o100644
                yield path, self._read(Kind.CONTENT, entry.target)


@contextmanager
def visiting(folder: Path) -> Iterator[Visits]:
    """Visits into an archive below ``folder``."""
    folder.mkdir(exist_ok=True)
    with archive("filesystem", folder) as target:
        yield Visits(target)


def checked_out(root: Path, name: str, revision: str = "1.1", module: str = "mod") -> bytes:
    """What ``cvs checkout -p`` makes of a revision."""
    argv = ["cvs", "-f", "-Q", "-n", "-d", str(root), "co", "-p", "-r", revision, f"{module}/{name}"]
    done = subprocess.run(argv, capture_output=True, check=True, env=_environment())
    return done.stdout


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TZ": "UTC", "LC_ALL": "C"}


@contextmanager
def served_root() -> Iterator[Path]:
    """A folder for a repository that a server of another user (``nobody``, if we are root) can read and write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder / "cvsroot"


@contextmanager
def pserver(root: Path, password: str = "") -> Iterator[str]:
    """``cvs pserver`` for the repository at ``root``, one a connection; yields ``pserver://anonymous@127.0.0.1:PORT``."""
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    crypted = ""
    if password:
        argv = ["openssl", "passwd", "-5", password]
        crypted = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    (root / "CVSROOT" / "passwd").write_text(f"anonymous:{crypted}:{user}\n")
    (root / "CVSROOT" / "history").touch()
    subprocess.run(["chmod", "-R", "a+rwX", root], check=True)
    server = ["cvs", "-f", f"--allow-root={root}", "pserver"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        children: list[subprocess.Popen[bytes]] = []
        thread = threading.Thread(target=_answer, args=(listener, server, children), daemon=True)
        thread.start()
        try:
            yield f"pserver://anonymous@127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for child in children:
                child.kill()
                child.wait()


def _answer(listener: socket.socket, argv: list[str], children: list[subprocess.Popen[bytes]]) -> None:
    """Start a child for each connection, as inetd does."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                children.append(
                    subprocess.Popen(
                        argv,
                        stdin=connection.fileno(),
                        stdout=connection.fileno(),
                        stderr=subprocess.DEVNULL,
                        env=_environment(),
                    )
                )


@contextmanager
def spoken(*answers: bytes) -> Iterator[str]:
    """A server that lets anybody in, then says ``answers`` whatever is asked, and hangs up; yields as ``pserver``."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(10)
                    connection.recv(1 << 16)
                    connection.sendall(b"I LOVE YOU\n")
                    for answer in answers:
                        connection.recv(1 << 16)
                        connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(1 << 16):
                        pass  # to close with something unread would take back what was said

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"pserver://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def rsync_daemon(folder: Path, **modules: Path) -> Iterator[str]:
    """``rsync --daemon`` for these modules; yields ``rsync://127.0.0.1:PORT``. ``folder`` has its files."""
    folder.mkdir()
    lines = ["use chroot = no", "reverse lookup = no", f"log file = {folder}/log"]
    for name, path in modules.items():
        lines += [f"[{name}]", f"path = {path}", "read only = yes"]
    (folder / "conf").write_text("\n".join(lines) + "\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = shutil.which("rsync")
    assert program, "rsync is not installed"
    process = subprocess.Popen(
        [program, "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={folder}/conf"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_for(port, process)
        yield f"rsync://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(250):
        assert process.poll() is None, "the server has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError("the server does not answer")


def names(steps: Iterable[Step]) -> list[list[str]]:
    """The paths in the tree of each step."""
    return [sorted(step.tree) for step in steps]
