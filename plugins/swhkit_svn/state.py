"""The repository's tree at the revision that is being replayed, and at all replayed before.

Two trees run side by side. ``main`` is what an export gives, and what is archived. ``side`` has what an export does not
show and later revisions need, for the few paths that have it: a file's properties that shape its export (with the
digest of its text, where the export differs), a folder's ``svn:externals``, what came into ``main`` by externals. A
revision is the pair of their roots, so a copy of anything at any revision costs a few look-ups.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from swhkit.plugin import (
    EMPTY_DIRECTORY,
    Bytes,
    Content,
    Directory,
    Item,
    Tree,
    VisitContext,
    object_id,
)
from swhkit_svn.dump import Damaged, NodeRecord
from swhkit_svn.originals import SAME, Known, Originals, shown
from swhkit_svn.store import Read, Roots, Store
from swhkit_svn.texts import (
    EOL,
    EXECUTABLE,
    LINK,
    RUNNABLE,
    SPECIAL,
    SYMLINK,
    Digested,
    Text,
    Workshop,
    digested,
    discard,
    flags_of,
)

#: Bits of an entry of ``side`` beyond those of a file: it came by an external; a folder that was made for one.
EXTERNAL, MADE = 16, 32
#: The name, in ``side``, of what is known of a folder itself. Paths are UTF-8, so that nothing else can have it.
FOLDER = b"\xff"
#: Permissions in ``side`` are flags on top of this.
FILE = 0o100000
#: Past revisions whose folders stay in memory: what is copied in one revision comes from one, as a rule.
_VIEWS = 1
_EXTERNALS = b"svn:externals"


class View:
    """The two trees at one revision."""

    def __init__(self, main: Tree, side: Tree) -> None:
        self.main, self.side = main, side

    def at(self, path: bytes) -> Known | None:
        """What is at ``path``; None if nothing is (what came by an external is not: it is not versioned)."""
        entry = self.main.get(path)
        if entry is None:
            return None
        aside = self.side.get(path)
        if aside is None or aside.type == "dir":
            executable = EXECUTABLE if entry.type != "dir" and entry.perms == RUNNABLE else 0
            return Known(entry, executable, aside.target if aside else None, SAME)
        flags = aside.perms & ~FILE
        return None if flags & EXTERNAL else Known(entry, flags, None, aside.target)


class Externals(msgspec.Struct, frozen=True):
    """A folder whose ``svn:externals`` were changed (None: there are none)."""

    path: bytes
    before: bytes | None
    after: bytes | None


class State:
    """The trees, edited by ``apply``; ``finish`` ends a revision."""

    def __init__(self, context: VisitContext, store: Store, workshop: Workshop) -> None:
        self._context, self._store, self._workshop = context, store, workshop
        self._originals = Originals(context, store, workshop)
        self.now = self._view(None)
        self._views: OrderedDict[Roots, View] = OrderedDict()
        self.changed_externals: list[Externals] = []
        #: Digest of the whole exported tree at the last revision that was finished.
        self.root = EMPTY_DIRECTORY

    @property
    def _reads(self) -> tuple[Read, Read]:
        return self._context.read, self._store.read

    def _view(self, roots: Roots | None) -> View:
        main, side = self._reads
        return View(
            Tree(main, roots.main if roots else None),
            Tree(side, roots.side if roots else None, keep_empty=False),
        )

    def past(self, revision: int) -> View | None:
        """The trees at a revision that was replayed; None if it was not."""
        roots = self._store.roots(revision)
        if roots is None:
            return None
        view = self._views.pop(roots, None) or self._view(roots)
        self._views[roots] = view
        if len(self._views) > _VIEWS:
            self._views.popitem(last=False)
        return view

    # -- one node ----------------------------------------------------------------------------------------------------

    def apply(self, node: NodeRecord, source: Known | None) -> Iterator[Item]:
        """Replay one change, and yield the new contents. ``source``: what it copies. Raises ``Damaged``."""
        if FOLDER in node.path.split(b"/"):
            raise Damaged("a path is not UTF-8")
        if node.action == "delete":
            self._delete(node.path)
            return
        if node.action == "change":
            if node.kind == "dir":  # a look would hash the folder half changed
                self._folder(node, None)
                return
            source = self.now.at(node.path)
            if source is None:
                raise Damaged(f"{shown(node.path)} is changed, but not there")
        elif node.action == "replace":
            self._delete(node.path)
        is_folder = node.kind == "dir" if node.kind else source is not None and source.entry.type == "dir"
        if source is not None and (source.entry.type == "dir") != is_folder:
            raise Damaged(f"{shown(node.path)} is a file in one place and a folder in another")
        if is_folder:
            self._folder(node, source)
        else:
            yield from self._file(node, source)

    def _delete(self, path: bytes) -> None:
        if not path or not self.now.main.remove(path):
            raise Damaged(f"{shown(path)} is deleted, but not there")
        self.now.side.remove(path)
        if self.changed_externals:
            self.changed_externals = [e for e in self.changed_externals if not _is_in(e.path, path)]

    def _folder(self, node: NodeRecord, source: Known | None) -> None:
        main, side, path = self.now.main, self.now.side, node.path
        if node.action != "change":
            self._make_way(path)
            if source is None:
                main.make(path)
            else:
                main.attach(path, source.entry.target)
                if source.side is not None:
                    side.attach(path, source.side)
        if node.properties is None:
            return
        if _EXTERNALS in node.properties or not node.properties_delta:
            self._set_externals(path, node.properties.get(_EXTERNALS))

    def _make_way(self, path: bytes) -> None:
        """A folder is added where an external may have put something, or a folder above it."""
        there = self.now.side.get(path)
        if there is None:
            return
        mark = self.now.side.get(_folder_name(path))
        if there.type != "dir":
            self.now.main.remove(path)
            self.now.side.remove(path)
        elif mark is not None and mark.perms & MADE:
            self.now.side.remove(_folder_name(path))

    def _set_externals(self, path: bytes, after: bytes | None) -> None:
        name = _folder_name(path)
        known = self.now.side.get(name)
        before = None
        if known is not None and not known.perms & MADE:
            before = self._store.body(known.target)
        if before == after:
            return
        self.changed_externals.append(Externals(path, before, after))
        if after is None:
            self.now.side.remove(name)
            return
        digest = hashlib.sha1(after).digest()
        self._store.keep(digest, after)
        self.now.side.put(name, digest, FILE)

    def _file(self, node: NodeRecord, source: Known | None) -> Iterator[Item]:
        flags = source.flags if source else 0
        if node.properties is not None:
            flags = flags_of(flags, node.properties, node.properties_delta)
        if node.body is None and source is not None and _same_export(source, flags):
            perms = source.entry.perms
            if perms != SYMLINK:
                perms = RUNNABLE if flags & EXECUTABLE else 0o100644
            self._put(node.path, source.entry.target, perms, flags, source.raw)
            return
        if node.body is None:
            raw = digested(Bytes(b"")) if source is None else self._originals.raw(source)
        elif node.text_delta:
            raw = self._originals.patched(node, node.body, source)
        else:
            raw = self._originals.whole(node, node.body)
        yield from self._export(node.path, raw, flags)

    def _export(self, path: bytes, raw: Digested, flags: int) -> Iterator[Item]:
        """Put a file into the trees and yield its content."""
        text, perms = self._workshop.exported(raw.text, flags)
        out = raw if text is raw.text else digested(text)
        yield Content(out.text)
        aside = SAME
        if out.digest != raw.digest and not _is_plain_link(raw.text, text, perms):
            aside = raw.digest
        limit = self._context.limits.max_content_size
        if aside != SAME or (limit is not None and raw.text.length > limit):
            self._store.keep_text(raw.digest, raw.text)
        self._put(path, out.digest, perms, flags, aside)
        self._originals.discard(raw.text)
        discard(out.text)

    def _put(self, path: bytes, digest: bytes, perms: int, flags: int, raw: bytes) -> None:
        self.now.main.put(path, digest, perms)
        if flags & (SPECIAL | EOL):
            self.now.side.put(path, raw, FILE | flags)
        else:
            self.now.side.remove(path)

    # -- one revision ------------------------------------------------------------------------------------------------

    def finish(self, number: int) -> Iterator[Directory]:
        """Yield the new directories, and remember the revision."""
        yield from self.now.main.write()
        for directory in self.now.side.write():
            self._store.keep(*_encoded(directory))
        self.root = self.now.main.root
        self._store.keep_roots(number, Roots(self.root, self.now.side.root))


def _encoded(directory: Directory) -> tuple[bytes, bytes]:
    """Digest and body of a directory of the side tree."""
    body = b"".join(
        b"%o %s\0%s" % (entry.perms, entry.name, entry.target)
        for entry in sorted(directory.entries, key=lambda e: e.name + b"/" if e.type == "dir" else e.name)
    )
    return object_id(directory).digest, body


def _folder_name(path: bytes) -> bytes:
    return path + b"/" + FOLDER if path else FOLDER


def _is_in(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder + b"/")


def _same_export(known: Known, flags: int) -> bool:
    """Whether new flags leave the bytes of an export as they are."""
    return known.flags & (SPECIAL | EOL) == flags & (SPECIAL | EOL)


def _is_plain_link(raw: Text, text: Text, perms: int) -> bool:
    """Whether the repository's text of a symbolic link can be told from its target."""
    return (
        perms == SYMLINK
        and isinstance(raw, Bytes)
        and isinstance(text, Bytes)
        and raw.data == LINK + text.data
    )
