"""How long a Subversion load takes, a revision.

    python benchmarks/svn_load.py [--revisions 2000] [--files 10000] [--transport file|svn] [--times N]

A repository is made up: a folder of many files of which single ones change, a deep tree, ``svn copy`` of it to
branches and tags, edits on branches, properties. Printed are the wall time of a first load, digests and publish included,
what that is a revision, and its ratio to Subversion's own dump over the same transport, with nobody reading.
"""

from __future__ import annotations

import argparse
import random
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measure

_WORDS = [f"word{n}" for n in range(2000)]


def history(revisions: int, files: int, seed: int = 1) -> Iterator[bytes]:
    """A dump (version 2) of a repository: revision 1 has ``files`` files in one folder and a deep tree, the others
    edit it; every 20th copies the trunk to a branch, every 50th to a tag."""
    pick = random.Random(seed)
    yield b"SVN-fs-dump-format-version: 2\n\nUUID: 00000000-0000-4000-8000-000000000001\n\n"
    yield _revision(0)
    yield _revision(1)
    folders = ["trunk", "branches", "tags", "trunk/big"]
    folders += [f"trunk/d{a}" for a in range(20)] + [f"trunk/d{a}/e{b}" for a in range(20) for b in range(5)]
    for folder in folders:
        yield _node(folder, "dir", "add", {})
    names = [f"big/f{n:05}.c" for n in range(files)]
    names += [f"d{a}/e{b}/g{c}.c" for a in range(20) for b in range(5) for c in range(10)]
    for name in names:
        yield _node(
            f"trunk/{name}",
            "file",
            "add",
            {"svn:eol-style": "native"} if name[-3] == "7" else {},
            _text(pick),
        )
    branches = ["trunk"]
    for number in range(2, revisions + 1):
        yield _revision(number)
        if number % 20 == 0:
            branches.append(f"branches/b{number}")
            yield _copy(branches[-1], "trunk", number - 1)
        elif number % 50 == 1:
            yield _copy(f"tags/t{number}", pick.choice(branches), number - 1)
        else:
            place = "trunk" if pick.random() < 0.7 else pick.choice(branches[-5:])
            for name in {pick.choice(names) for _ in range(pick.randint(1, 5))}:
                yield _node(f"{place}/{name}", "file", "change", None, _text(pick))


def _text(pick: random.Random) -> bytes:
    lines = (" ".join(pick.choices(_WORDS, k=8)) for _ in range(pick.randint(5, 120)))
    return ("\n".join(lines) + "\n").encode("ascii")


def _properties(values: dict[str, str]) -> bytes:
    pairs = "".join(f"K {len(k)}\n{k}\nV {len(v)}\n{v}\n" for k, v in values.items())
    return f"{pairs}PROPS-END\n".encode("ascii")


def _revision(number: int) -> bytes:
    date = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(1_000_000_000 + 600 * number))
    block = _properties({"svn:author": "ann", "svn:date": date, "svn:log": f"change {number}"})
    size = len(block)
    return (
        f"Revision-number: {number}\nProp-content-length: {size}\nContent-length: {size}\n\n".encode()
        + block
        + b"\n"
    )


def _node(
    path: str, kind: str, action: str, properties: dict[str, str] | None, text: bytes | None = None
) -> bytes:
    head = f"Node-path: {path}\nNode-kind: {kind}\nNode-action: {action}\n"
    block = b"" if properties is None else _properties(properties)
    if properties is not None:
        head += f"Prop-content-length: {len(block)}\n"
    if text is not None:
        head += f"Text-content-length: {len(text)}\n"
    body = block + (text or b"")
    return f"{head}Content-length: {len(body)}\n\n".encode() + body + b"\n\n"


def _copy(path: str, source: str, revision: int) -> bytes:
    return (
        f"Node-path: {path}\nNode-kind: dir\nNode-action: add\nNode-copyfrom-rev: {revision}\n"
        f"Node-copyfrom-path: {source}\n\n\n"
    ).encode()


def make_repository(folder: Path, revisions: int, files: int) -> Path:
    """The repository, in ``folder``."""
    measure.run("svnadmin", "create", folder)
    loading = subprocess.Popen(
        ["svnadmin", "load", "-q", "--no-flush-to-disk", str(folder)], stdin=subprocess.PIPE
    )
    assert loading.stdin is not None
    for piece in history(revisions, files):
        loading.stdin.write(piece)
    loading.stdin.close()
    if loading.wait() != 0:
        raise SystemExit("svnadmin load failed")
    return folder


@contextmanager
def offered(repository: Path, transport: str) -> Iterator[str]:
    """The URL at which the repository is loaded, for as long as the block lasts."""
    if transport == "file":
        yield repository.as_uri()
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    argv = ["svnserve", "--daemon", "--foreground", "--listen-host", "127.0.0.1", "--listen-port", port]
    server = subprocess.Popen([*argv, "--root", str(repository.parent)])
    try:
        time.sleep(1)
        yield f"svn://127.0.0.1:{port}/{repository.name}"
    finally:
        server.terminate()
        server.wait()


def dump_seconds(url: str, repository: Path, transport: str) -> float:
    """Seconds of Subversion's own dump over the transport."""
    argv = (
        ["svnadmin", "dump", "-q", str(repository)]
        if transport == "file"
        else ["svnrdump", "dump", "-q", url]
    )
    begun = time.monotonic()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begun


def main() -> int:
    """Make the repository, run the rounds, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--revisions", type=int, default=2000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--transport", choices=("file", "svn"), default="file")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with measure.scratch(options.folder) as folder:
        repository = make_repository(folder / "repository", options.revisions, options.files)
        with offered(repository, options.transport) as url:
            loads, dumps = [], []
            for number in range(options.times):
                dumps.append(dump_seconds(url, repository, options.transport))
                archive = measure.new_archive(folder / f"archive{number}")
                loads.append(measure.load(archive, url, "svn")["wall"])
    load, dump = statistics.median(loads), statistics.median(dumps)
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    each = 1000 * load / options.revisions
    print(f"load {load:.2f} s, {each:.2f} ms a revision; dump alone {dump:.2f} s; ratio {load / dump:.2f}")
    print(f"largest resident memory of any process: {most >> 10} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
