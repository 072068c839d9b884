"""A made-up Subversion history: a folder of many files of which single ones change, a deep tree, copies of all that.

What real histories of moderate size do not show: that trees share structure, however wide and however often copied.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

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
