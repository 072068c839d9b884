"""The git program, as swhkit uses it: always with our configuration (``swhkit.gitconfig``).

``Git`` runs git on one git directory (or on none) and reads objects in bulk through ``git cat-file``. Nothing here
verifies hashes; who needs that hashes what comes (``swhkit.pack.walk``, the stores).
"""

from __future__ import annotations

import contextlib
from binascii import hexlify, unhexlify
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from swhkit.child import Child
from swhkit.errors import ChildFailed, Collision, Corrupt, InvalidInput
from swhkit.files import sync_file, sync_folder, write_whole
from swhkit.gitconfig import git_environment, require_git
from swhkit.model import Pack
from swhkit.process import Completed, Runner
from swhkit.swhid import Kind, ObjectId

#: The largest piece of a body that is given at once, in bytes.
PIECE = 1 << 20
#: How many ids are handled at a time.
_BLOCK = 4096
#: How many ids are asked for at once: their lines fit into a pipe, so that nobody waits for the other.
_QUESTION = 1000

_KINDS = {b"blob": Kind.CONTENT, b"tree": Kind.DIRECTORY, b"commit": Kind.REVISION, b"tag": Kind.RELEASE}


class Git:
    """The git program on one git directory, or on none (``ls-remote``).

    ``alternates``: ``objects`` folders whose objects are visible too. They are given in the environment of each
    child, not in the repository, so that another ``Git`` on the same directory does not see them.
    """

    def __init__(
        self,
        runner: Runner,
        git_dir: Path | None = None,
        *,
        alternates: Sequence[Path] = (),
        object_directory: Path | None = None,
        protocols: Collection[str] = (),
    ) -> None:
        require_git()
        self.runner, self.git_dir = runner, None if git_dir is None else git_dir.absolute()
        self.alternates = tuple(alternates)
        self.environment = git_environment(runner.home, protocols=protocols)
        if alternates:
            self.environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = ":".join(
                _quoted(p.absolute()) for p in alternates
            )
        if object_directory is not None:
            self.environment["GIT_OBJECT_DIRECTORY"] = str(object_directory.absolute())

    @classmethod
    def init(
        cls,
        runner: Runner,
        git_dir: Path,
        *,
        alternates: Sequence[Path] = (),
        precious: bool = False,
        protocols: Collection[str] = (),
    ) -> Git:
        """A bare SHA-1 repository without templates, hooks or refs, made unless it is there (then it is left as it is).

        ``precious``: no git command may ever drop objects from it (``extensions.preciousObjects``), from the first
        moment on: without it a stray ``git gc`` leaves nothing of a repository without refs.
        """
        # The files are written here, not by ``git init``: later versions choose other defaults (reftable, SHA-256).
        if not (git_dir / "HEAD").exists():
            git_dir.mkdir(parents=True, exist_ok=True)
            form = f"[core]\n\trepositoryformatversion = {int(precious)}\n\tfilemode = true\n\tbare = true\n"
            form += "[extensions]\n\tpreciousObjects = true\n" if precious else ""
            write_whole(git_dir / "config", form.encode("ascii"), durable=precious)
            for folder in ("objects/pack", "objects/info", "refs/heads", "refs/tags"):
                (git_dir / folder).mkdir(parents=True, exist_ok=True)
            write_whole(git_dir / "HEAD", b"ref: refs/heads/main\n", durable=precious)
        return cls(runner, git_dir, alternates=alternates, protocols=protocols)

    def run(
        self,
        *args: str | Path,
        input: bytes | Iterable[bytes] | None = None,
        check: bool = True,
        timeout: float | None = None,
        env: dict[str, str] | None = None,
        max_output: int = 64 << 20,
    ) -> Completed:
        """Run ``git ARGS`` to its end; as ``Runner.run``."""
        return self.runner.run(
            self._argv(args),
            input=input,
            check=check,
            timeout=timeout,
            env={**self.environment, **(env or {})},
            max_output=max_output,
        )

    @contextlib.contextmanager
    def start(
        self, *args: str | Path, env: dict[str, str] | None = None, stdin: bool = True
    ) -> Iterator[Child]:
        """A running ``git ARGS``; as ``Runner.start``."""
        with self.runner.start(
            self._argv(args), env={**self.environment, **(env or {})}, stdin=stdin
        ) as child:
            yield child

    def list_objects(self) -> Iterator[tuple[ObjectId, int]]:
        """All objects with their body lengths in bytes, each once, in no order.

        Without ``alternates`` those of the directory alone. Objects that git finds but cannot read are left out.
        Raises ``ChildFailed``.
        """
        with self.start(
            "cat-file", "--batch-all-objects", "--batch-check", "--unordered", "--buffer", stdin=False
        ) as child:
            for line in child.stdout:
                digest, kind, size = _parsed(line)
                if kind is not None:
                    yield ObjectId(kind, digest), size
            child.wait()

    def check(self, digests: Iterable[bytes]) -> Iterator[tuple[bytes, Kind | None, int]]:
        """Kind and body length of each of ``digests``, in their order; ``None`` and -1 where it is missing.

        ``digests`` is consumed in a thread. Raises ``ChildFailed``.
        """
        with self.start("cat-file", "--batch-check", "--buffer") as child:
            child.feed(_lines(digests))
            yield from map(_parsed, child.stdout)
            child.wait()

    def read(self, digests: Iterable[bytes] | None) -> Iterator[tuple[ObjectId, int, Iterator[bytes]]]:
        """The bodies of ``digests`` in their order, or of all objects (None) in an order that is quick.

        The third is the body in pieces of at most 1 MiB; it is good until the next object is asked for. Missing
        ones are left out. Hashes are not verified. ``digests`` is consumed in a thread. Raises ``ChildFailed`` when
        git dies, as it does at the first damaged object; an object whose bytes have not all come is never the end
        of a normal return.
        """
        which = ("--batch-all-objects", "--unordered") if digests is None else ()
        with self.start("cat-file", "--batch", "--buffer", *which, stdin=digests is not None) as child:
            if digests is not None:
                child.feed(_lines(digests))
            out = child.stdout
            while header := out.readline():
                digest, kind, size = _parsed(header)
                if kind is None:
                    continue
                id = ObjectId(kind, digest)
                if size <= PIECE:
                    body = out.read(size)
                    if out.read(1) != b"\n":
                        raise _cut(child)
                    yield id, size, iter((body,))
                else:
                    pieces = _pieces(out, size, child)
                    yield id, size, pieces
                    for _ in pieces:  # what the taker has left
                        pass
            child.wait()

    @contextlib.contextmanager
    def asking(
        self,
    ) -> Iterator[Callable[[Sequence[bytes]], Iterator[tuple[ObjectId, int, Iterator[bytes]]]]]:
        """As ``read``, by one child for the whole block, to whom each call puts a question: for many small ones."""
        with self.start("cat-file", "--batch") as child:

            def ask(digests: Sequence[bytes]) -> Iterator[tuple[ObjectId, int, Iterator[bytes]]]:
                for first in range(0, len(digests), _QUESTION):
                    asked = digests[first : first + _QUESTION]
                    child.stdin.write(b"".join(_lines(asked)))
                    child.stdin.flush()
                    for _ in asked:
                        yield from _answer(child)

            yield ask
            child.stdin.close()
            child.wait()

    def index_pack(self, pack: Path) -> Pack:
        """Index a pack with git (which hashes every object); pack and idx are durable on return.

        Raises ``Corrupt`` if it is no sound, complete pack, ``Collision`` if the git directory holds another body
        under one of its ids.
        """
        try:
            self.run("index-pack", pack)
        except ChildFailed as error:
            if error.code < 0:  # killed, not refused
                raise
            last = (error.stderr.strip().splitlines() or ["(git said nothing)"])[-1]
            kind = Collision if "COLLISION" in error.stderr else Corrupt
            raise kind(f"git refuses the pack {pack.name}: {last}") from error
        idx = pack.with_suffix(".idx")
        sync_file(pack)
        sync_file(idx)
        sync_folder(pack.parent)
        return Pack(path=pack, idx=idx)

    def _argv(self, args: Sequence[str | Path]) -> list[str | Path]:
        return ["git", *args] if self.git_dir is None else ["git", "--git-dir", self.git_dir, *args]


def _quoted(path: Path) -> str:
    """A path as an element of GIT_ALTERNATE_OBJECT_DIRECTORIES (git(1): colons separate, C-style quotes protect)."""
    text = str(path)
    if ":" not in text and "\n" not in text:
        return text  # absolute, so it does not begin with a quote
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _lines(digests: Iterable[bytes]) -> Iterator[bytes]:
    """Digests as ``cat-file`` takes them. A shorter one would be read as an abbreviation, or the name of a ref."""
    digests = iter(digests)
    while block := list(islice(digests, _BLOCK)):
        for digest in block:
            if len(digest) != 20:
                raise InvalidInput(
                    f"{digest.hex()!r} is no git object id: it has {len(digest)} bytes, not 20"
                )
        yield b"\n".join(map(hexlify, block)) + b"\n"


def _parsed(line: bytes) -> tuple[bytes, Kind | None, int]:
    """Digest, kind and size of a ``cat-file`` answer ``HEX TYPE SIZE``; None and -1 for ``HEX missing`` and the like."""
    words = line.split()
    try:
        digest = unhexlify(words[0])
        kind, size = (_KINDS[words[1]], int(words[2])) if len(words) == 3 else (None, -1)
    except (ValueError, KeyError, IndexError):
        digest, kind, size = b"", None, -1
    if len(digest) != 20:
        raise Corrupt(f"git cat-file said {line[:80]!r}, which names no SHA-1 object")
    return digest, kind, size


def _answer(child: Child) -> Iterator[tuple[ObjectId, int, Iterator[bytes]]]:
    """The next object of a ``cat-file --batch``; nothing for a missing one."""
    header = child.stdout.readline()
    if not header:
        raise _cut(child)
    digest, kind, size = _parsed(header)
    if kind is None:
        return
    pieces = _pieces(child.stdout, size, child)
    yield ObjectId(kind, digest), size, pieces
    for _ in pieces:  # what the taker has left
        pass
    if not size and child.stdout.read(1) != b"\n":
        raise _cut(child)


def headers_of(pieces: Iterator[bytes], limit: int | None = None) -> bytes | None:
    """The body of a commit or tag up to its message, which may be of any size. None if that is more than ``limit``."""
    head = bytearray()
    for piece in pieces:
        seen = max(len(head) - 1, 0)
        head += piece
        end = head.find(b"\n\n", seen)
        if end >= 0:
            return bytes(head[: end + 2])
        if limit is not None and len(head) > limit:
            return None
    return bytes(head)


def _pieces(out: BinaryIO, size: int, child: Child) -> Iterator[bytes]:
    while size:
        piece = out.read(min(size, PIECE))
        if not piece:
            raise _cut(child)
        size -= len(piece)
        if not size and out.read(1) != b"\n":
            raise _cut(child)
        yield piece


def _cut(child: Child) -> ChildFailed:
    """The error for a body that ended early."""
    code = child.wait()  # raises, as a rule
    return ChildFailed(child.argv, code, f"{child.stderr()}\nan object ended before all its bytes had come")
