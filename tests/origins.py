"""Small origins of other systems than git, made with their own programs: a few revisions, more on top, and large ones.

Each class is a working copy (or what stands for one) below a folder: ``write`` and ``remove`` files, ``commit`` them;
``url`` is what is loaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

#: A file that no loader may have in memory more than once or twice.
LARGE = 80 << 20
_LINE = b"a line of a large file, which deltas and compression make small\n"


def run(*argv: str | Path, cwd: Path, **environment: str) -> str:
    """Run a program that makes an origin; what it prints."""
    home = cwd / ".home" if cwd.is_dir() else cwd.parent
    plain = {"PATH": f"/usr/bin:{os.environ['PATH']}", "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(argv, cwd=cwd, env=plain | environment, capture_output=True, check=False)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout.decode("utf-8", "replace")


class WorkingCopy:
    """Files of a working copy at ``copy``; subclasses know how to commit them."""

    def __init__(self, copy: Path) -> None:
        self.copy, self.count = copy, 0

    @property
    def url(self) -> str:
        """Where it is loaded from."""
        return self.copy.as_uri()

    def write(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Make or change a file."""
        path = self.copy / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)

    def remove(self, name: str) -> None:
        """Delete a file."""
        (self.copy / name).unlink()

    def commit(self) -> None:
        """Make a revision of what was written and removed since the one before."""
        self.count += 1
        self._commit(f"revision {self.count}\n", 1_500_000_000 + 3_600 * self.count)

    def _commit(self, message: str, when: int) -> None:
        raise NotImplementedError

    def history(self) -> None:
        """Three revisions: files come, change, and go."""
        for number in range(6):
            self.write(f"f{number}.txt", b"file %d\n" % number * (number + 1))
        self.write("sub/run", b"#!/bin/sh\n", 0o755)
        self.commit()
        self.write("f1.txt", b"changed\n")
        self.write("sub/deeper/g.bin", bytes(range(256)))
        self.commit()
        self.remove("f2.txt")
        self.write("sub/run", b"#!/bin/sh\nexit\n", 0o755)
        self.commit()

    def more(self) -> None:
        """Two revisions on top."""
        self.write("new.txt", b"new\n")
        self.remove("f1.txt")
        self.commit()
        self.write("f3.txt", b"changed late\n")
        self.commit()

    def large(self, files: int = 500) -> None:
        """A large file that changes a little, and many small ones."""
        for number in range(files):
            self.write(f"d{number % 50}/f{number}", b"%d\n" % number * 9)
        self.write("large", _LINE * (LARGE // len(_LINE)))
        self.commit()
        self.write("large", b"another first line\n" + _LINE * (LARGE // len(_LINE)))
        self.write("d1/f1", b"changed\n")
        self.commit()


class Bazaar(WorkingCopy):
    """A standalone branch."""

    def __init__(self, copy: Path) -> None:
        super().__init__(copy)
        copy.mkdir(parents=True)
        self._brz("init", "-q")

    def _commit(self, message: str, when: int) -> None:
        self._brz("add", "-q")
        date = run("date", "-u", "-d", f"@{when}", "+%Y-%m-%d %H:%M:%S +0000", cwd=self.copy).strip()
        self._brz("commit", "-q", "-m", message, "--commit-time", date)

    def _brz(self, *argv: str) -> None:
        run(
            "brz",
            "--no-plugins",
            *argv,
            cwd=self.copy,
            BRZ_EMAIL="A U Thor <a@example.org>",
            BRZ_HOME="/nonexistent",
        )


class Subversion(WorkingCopy):
    """A repository with a trunk, checked out beside it."""

    def __init__(self, copy: Path) -> None:
        super().__init__(copy)
        self.repository = copy.with_name(f"{copy.name}.svn")
        copy.parent.mkdir(parents=True, exist_ok=True)
        run("svnadmin", "create", self.repository, cwd=copy.parent)
        hook = self.repository / "hooks/pre-revprop-change"
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
        self._svn("mkdir", "-q", "-m", "trunk", f"{self.url}/trunk", cwd=copy.parent)
        self._date(1, 1_500_000_000)
        self._svn("checkout", "-q", f"{self.url}/trunk", copy, cwd=copy.parent)
        self.count = 1

    @property
    def url(self) -> str:
        return self.repository.as_uri()

    def remove(self, name: str) -> None:
        self._svn("rm", "-q", name)

    def _commit(self, message: str, when: int) -> None:
        self._svn("add", "-q", "--force", ".")
        self._svn("commit", "-q", "-m", message)
        self._date(self.count, when)

    def _date(self, revision: int, when: int) -> None:
        date = run("date", "-u", "-d", f"@{when}", "+%Y-%m-%dT%H:%M:%S.000000Z", cwd=self.repository).strip()
        self._svn(
            "propset", "-q", "--revprop", "-r", str(revision), "svn:date", date, self.url, cwd=self.repository
        )

    def _svn(self, *argv: str | Path, cwd: Path | None = None) -> None:
        options = (
            "--username",
            "author",
            "--non-interactive",
            "--config-dir",
            self.repository.with_suffix(".config"),
        )
        run("svn", *argv, *options, cwd=cwd or self.copy)


class Cvs(WorkingCopy):
    """A repository with one module, checked out beside it."""

    def __init__(self, copy: Path) -> None:
        super().__init__(copy)
        self.repository = copy.with_name(f"{copy.name}.cvs")
        (self.repository / "module").mkdir(parents=True)
        run("cvs", "-d", self.repository, "init", cwd=copy.parent)
        run("cvs", "-q", "-d", self.repository, "checkout", "-d", copy.name, "module", cwd=copy.parent)
        self._known: set[Path] = set()

    @property
    def url(self) -> str:
        return (self.repository / "module").as_uri()

    def remove(self, name: str) -> None:
        run("cvs", "-q", "rm", "-f", name, cwd=self.copy)

    def _commit(self, message: str, when: int) -> None:
        files = {path for path in self.copy.rglob("*") if "CVS" not in path.parts and path.name != ".home"}
        new = [path.relative_to(self.copy) for path in sorted(files - self._known)]
        if new:
            run("cvs", "-q", "add", *new, cwd=self.copy)
        run("cvs", "-q", "commit", "-m", message, cwd=self.copy)
        self._known |= files


def archive_of(folder: Path, file: Path) -> Path:
    """A .tar.gz or .tar of a folder."""
    shutil.rmtree(folder / ".home", ignore_errors=True)
    run("tar", "-c", "-a", "-f", file, "-C", folder.parent, folder.name, cwd=file.parent)
    return file
