"""Hostile repositories: few bytes that cost a careless archive its memory, its stack, its disk or its day.

Each generator makes a bare repository in a folder. ``Watched`` runs ``swhkit`` and samples the memory of every process
of ours while it works. Runnable alone, from the project's root: loads each, reads it back, checks it, and tells times
and memory::

    python -m tests.faults.hostile [NAME...] [--large] [--backend sqlite]

(A commit with 100,000 parents keeps git itself busy for half a minute: its lists of parents are quadratic.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults.common import make_store
from generate import git
from program import environment, start

from swhkit.model import Bytes, Chunks
from swhkit.pack import PackWriter
from swhkit.swhid import Kind, ObjectId
from swhkit.testing.processes import Watcher

#: What invariant I7 allows each process of ours.
LIMIT = 256 << 20
_MEGABYTE = 1 << 20
_PERSON = b"A <a@example.org> 1500000000 +0000"


class Maker:
    """Writes one repository: objects of any kind into one pack, refs into packed-refs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        git(path, "init", "-q", "--bare", "-b", "main")
        self._writer = PackWriter(path / "objects" / "pack" / "new.pack")
        self._refs: dict[bytes, ObjectId] = {}

    def blob(self, body: bytes) -> ObjectId:
        return self._writer.add(Kind.CONTENT, Bytes(body))

    def zeros(self, size: int) -> ObjectId:
        """A blob of zeros, never in memory."""
        piece = bytes(_MEGABYTE)
        return self._writer.add(Kind.CONTENT, Chunks(size, (piece for _ in range(size // _MEGABYTE))))

    def tree(self, entries: list[tuple[bytes, bytes, ObjectId]]) -> ObjectId:
        """Entries are mode, name and object, in git's order."""
        body = b"".join(b"%s %s\0%s" % (mode, name, id.digest) for mode, name, id in entries)
        return self._writer.add(Kind.DIRECTORY, Bytes(body))

    def commit(
        self,
        tree: ObjectId,
        parents: list[ObjectId] | None = None,
        author: bytes = _PERSON,
        message: bytes = b"x\n",
    ) -> ObjectId:
        lines = [b"tree %s" % tree.hex.encode(), *(b"parent %s" % p.hex.encode() for p in parents or [])]
        lines += [b"author " + author, b"committer " + _PERSON, b"", message]
        return self._writer.add(Kind.REVISION, Bytes(b"\n".join(lines)))

    def tag(self, target: ObjectId, name: bytes, message: bytes = b"t\n") -> ObjectId:
        body = b"object %s\ntype %s\ntag %s\ntagger %s\n\n%s"
        body %= (target.hex.encode(), target.kind.git.encode(), name, _PERSON, message)
        return self._writer.add(Kind.RELEASE, Bytes(body))

    def ref(self, name: bytes, target: ObjectId) -> None:
        self._refs[name] = target

    def finish(self) -> Path:
        """Index the pack and write the refs."""
        pack = self._writer.finish()
        git(self.path, "index-pack", pack)
        name = f"pack-{pack.read_bytes()[-20:].hex()}"
        for suffix in (".pack", ".idx"):
            pack.with_suffix(suffix).rename(pack.with_name(name + suffix))
        pack.with_suffix(".rev").unlink(missing_ok=True)
        lines = [b"# pack-refs with: sorted \n"]
        lines += [b"%s %s\n" % (self._refs[name].hex.encode(), name) for name in sorted(self._refs)]
        (self.path / "packed-refs").write_bytes(b"".join(lines))
        return self.path


def deep(path: Path, levels: int = 3_000) -> Path:
    """Directories in directories."""
    new = Maker(path)
    inner, mode = new.blob(b"at the bottom\n"), b"100644"
    for _ in range(levels):
        inner, mode = new.tree([(mode, b"d", inner)]), b"40000"
    new.ref(b"refs/heads/main", new.commit(inner))
    return new.finish()


def bomb(path: Path) -> Path:
    """Twelve objects that a checkout makes 10,000,000,000 files of."""
    new = Maker(path)
    inner, mode = new.blob(b"boom\n"), b"100644"
    for _ in range(10):
        inner, mode = new.tree([(mode, b"d%d" % n, inner) for n in range(10)]), b"40000"
    new.ref(b"refs/heads/main", new.commit(inner))
    return new.finish()


def names(path: Path, size: int = _MEGABYTE) -> Path:
    """Names of a megabyte: an entry's, an author's, a tag's; and the longest branch name git can transmit."""
    new = Maker(path)
    tree = new.tree([(b"100644", b"n" * size, new.blob(b"x\n"))])
    made = new.commit(tree, author=b"N" * size + b" <a@example.org> 1500000000 +0000")
    new.ref(b"refs/heads/main", made)
    new.ref(b"refs/heads/" + b"b" * 60_000, made)
    new.ref(b"refs/tags/t", new.tag(made, b"t" * size))
    return new.finish()


def long_branch(path: Path) -> Path:
    """A branch name that git's protocol cannot carry."""
    new = Maker(path)
    new.ref(b"refs/heads/" + b"b" * _MEGABYTE, new.commit(new.tree([])))
    return new.finish()


def parents(path: Path, count: int = 100_000) -> Path:
    """A commit with so many parents."""
    new = Maker(path)
    tree = new.tree([(b"100644", b"f", new.blob(b"x\n"))])
    roots = [new.commit(tree, message=b"%d\n" % number) for number in range(count)]
    new.ref(b"refs/heads/main", new.commit(tree, roots))
    return new.finish()


def zeros(path: Path, size: int = 300 << 20) -> Path:
    """A blob of zeros: a thousandth of it on disk."""
    new = Maker(path)
    new.ref(b"refs/heads/main", new.commit(new.tree([(b"100644", b"zeros", new.zeros(size))])))
    return new.finish()


def tags(path: Path, count: int = 10_000) -> Path:
    """Tags of tags."""
    new = Maker(path)
    inner = new.commit(new.tree([(b"100644", b"f", new.blob(b"x\n"))]))
    new.ref(b"refs/heads/main", inner)
    for number in range(count):
        inner = new.tag(inner, b"t%d" % number)
    new.ref(b"refs/tags/outermost", inner)
    return new.finish()


def wide(path: Path, count: int = 100_000) -> Path:
    """A directory with so many entries."""
    new = Maker(path)
    blob = new.blob(b"x\n")
    tree = new.tree([(b"100644", b"f%06d" % number, blob) for number in range(count)])
    new.ref(b"refs/heads/main", new.commit(tree))
    return new.finish()


def branches(path: Path, count: int = 100_000) -> Path:
    """So many branches."""
    new = Maker(path)
    made = new.commit(new.tree([(b"100644", b"f", new.blob(b"x\n"))]))
    new.ref(b"refs/heads/main", made)
    for number in range(count):
        new.ref(b"refs/heads/b%06d" % number, made)
    return new.finish()


def message(path: Path, size: int = 100 << 20) -> Path:
    """A commit with a message of that many bytes."""
    new = Maker(path)
    tree = new.tree([(b"100644", b"f", new.blob(b"x\n"))])
    new.ref(b"refs/heads/main", new.commit(tree, message=b"m" * size))
    return new.finish()


GENERATORS: dict[str, Callable[[Path], Path]] = {
    made.__name__: made
    for made in (deep, bomb, names, long_branch, parents, zeros, tags, wide, branches, message)
}


@dataclass
class Watched:
    """What became of a program: its code, what it said, seconds, and bytes of anonymous memory at most in one process
    of ours (``memory``), or in any child such as git (``others``)."""

    argv: list[str]
    code: int = 0
    out: str = ""
    err: str = ""
    size: int = 0
    seconds: float = 0.0
    memory: int = 0
    others: int = 0


def watched(*args: str | Path, cwd: Path, timeout: float = 300, keep: int = 1 << 20) -> Watched:
    """Run ``swhkit ARGS``; the first ``keep`` bytes of its output are kept. It must end in ``timeout`` seconds."""
    argv = [str(arg) for arg in args]
    done = Watched(argv)
    begun = time.monotonic()
    with tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "swhkit", *argv], cwd=cwd, env=environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, start_new_session=True,
        )  # fmt: skip
        watcher, alarm = Watcher(process.pid), threading.Timer(timeout, process.kill)
        alarm.start()
        assert process.stdout is not None
        head = _drain(process.stdout, keep, done)
        done.code = process.wait()
        alarm.cancel()
        watcher.stop()
        done.seconds = time.monotonic() - begun
        err.seek(0)
        done.out, done.err = head.decode("utf-8", "replace"), err.read(keep).decode("utf-8", "replace")
    done.memory, done.others = watcher.ours, watcher.others
    assert done.seconds < timeout, f"{argv} had to be killed after {timeout} s"
    return done


def _drain(pipe: IO[bytes], keep: int, done: Watched) -> bytes:
    head = b""
    while piece := pipe.read(1 << 16):
        done.size += len(piece)
        if len(head) < keep:
            head += piece[: keep - len(head)]
    return head


def must_be_modest(done: Watched, codes: tuple[int, ...] = (0,), seconds: float = 120) -> Watched:
    """It ended in time, as it should, within the memory that every process of ours may use, and explained itself."""
    told = f"{done.argv}: code {done.code}, {done.seconds:.1f} s, {done.memory >> 20} MiB: {done.err[-500:]}"
    assert done.code in codes, told
    assert "Traceback" not in done.err, told
    assert "RecursionError" not in done.err + done.out, told
    assert "internal error" not in done.err + done.out, told
    assert done.memory <= LIMIT, told
    assert done.seconds <= seconds, told
    return done


def load(repository: Path, store: Path, seconds: float = 120) -> tuple[dict[str, Any], Watched]:
    """Load a repository; the report, which has a status and, unless that is full, a reason."""
    done = watched("load", "--json", "--type", "git", f"file://{repository}", cwd=store, timeout=2 * seconds)
    (report,) = json.loads(done.out)
    must_be_modest(done, (0,) if report["status"] == "full" else (1, 3), seconds)
    assert (report["status"] == "full") == (report["error"] is None), report
    return report, done


def read_back(repository: Path, store: Path, snapshot: str) -> Iterator[Watched]:
    """What the commands make of the snapshot, of main's revision and root directory, and of the first entry of it."""
    revision = git(repository, "rev-parse", "refs/heads/main")
    entries = git(repository, "ls-tree", "-z", "refs/heads/main").split("\0")[0].split("\t")[0].split()
    directory = f"swh:1:dir:{git(repository, 'rev-parse', 'refs/heads/main^{tree}')}"
    large = int(git(repository, "cat-file", "-s", revision)) > 64 << 20
    for command in ("show", "log"):
        yield must_be_modest(watched(command, f"swh:1:rev:{revision}", cwd=store), (1,) if large else (0,))
    for arguments in (("show", snapshot), ("ls", directory), ("show", directory)):
        yield must_be_modest(watched(*arguments, cwd=store))
    if entries[1] == "blob":
        done = must_be_modest(watched("cat", f"swh:1:cnt:{entries[2]}", cwd=store))
        assert done.size == int(git(repository, "cat-file", "-s", entries[2])), done
        yield done
    tag = git(repository, "for-each-ref", "--count=1", "--format=%(objectname)", "refs/tags")
    if tag:
        yield must_be_modest(watched("show", f"swh:1:rel:{tag}", cwd=store))


def serve_back(repository: Path, store: Path, snapshot: str) -> list[str]:
    """Ask a server for the same; what it answered, path by path. It stays modest, and alive."""
    revision = git(repository, "rev-parse", "refs/heads/main")
    directory = git(repository, "rev-parse", "refs/heads/main^{tree}")
    paths = [
        f"snapshot/{snapshot[-40:]}/",
        f"revision/{revision}/",
        f"revision/{revision}/log/",
        f"revision/{revision}/directory/",
        f"directory/{directory}/",
        f"directory/{directory}/" + "d/" * 2_900,
    ]
    with serving(store) as (base, watcher):
        answers = [f"{path[:60]} {_status(f'{base}/{path}')}" for path in paths]
        assert _status(f"{base}/ping/") == 200
    assert watcher.ours <= LIMIT, f"the server has used {watcher.ours >> 20} MiB: {answers}"
    assert not any(answer.endswith((" 500", " 502")) for answer in answers), answers
    return answers


@contextmanager
def serving(store: Path) -> Iterator[tuple[str, Watcher]]:
    """``swhkit serve`` in a store: the base of its API, and who watches its memory."""
    process = start("serve", "--listen", "127.0.0.1:0", cwd=store)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, f"serve did not start: {line!r} {process.communicate()[1]}"
        watcher = Watcher(process.pid)
        yield "http://" + line.split("http://")[1].split()[0].rstrip("/") + "/api/1", watcher
        watcher.stop()
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert "Traceback" not in err, err


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            while answer.read(1 << 20):
                pass
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def try_one(repository: Path, store: Path, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Load a hostile repository, read it back, check the archive, and identify the repository; the load's report."""
    report, done = load(repository, store)
    tell(f"load: {report['status']}, {report['error'] or 'no reason needed'}; {_figures(done)}")
    if report["snapshot"] is not None:
        for done in read_back(repository, store, report["snapshot"]):
            tell(f"{done.argv[0]} {done.argv[-1][:9]}: {_figures(done)}")
        for answer in serve_back(repository, store, report["snapshot"]):
            tell(f"GET {answer}")
    done = must_be_modest(watched("check", "--full", cwd=store))
    assert "nothing is wrong" in done.out, done.out
    tell(f"check --full: {_figures(done)}")
    done = must_be_modest(watched("identify", "--type", "snp", repository, cwd=store))
    tell(f"identify: {_figures(done)}")
    if report["snapshot"] is not None:
        assert report["snapshot"] in done.out, (report["snapshot"], done.out)
    return report


def _figures(done: Watched) -> str:
    return f"{done.seconds:.1f} s, {done.memory >> 20} MiB of ours, {done.others >> 20} of git's, {done.size} bytes"


def main(arguments: list[str] | None = None) -> int:
    """Try each named generator, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.hostile", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *GENERATORS], metavar="NAME")
    parser.add_argument("--large", action="store_true", help="a blob of zeros of 2 GiB")
    parser.add_argument("--backend", choices=("filesystem", "sqlite"), default="filesystem")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="swhkit-hostile-") as place:
        for name in options.names or GENERATORS:
            print(f"{name}:", flush=True)
            path = Path(place, f"{name}.git")
            if name == "zeros" and options.large:
                zeros(path, 2 << 30)
            else:
                GENERATORS[name](path)
            store = make_store(Path(place, name), options.backend)
            try_one(path, store, lambda line: print(f"  {line}", flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
