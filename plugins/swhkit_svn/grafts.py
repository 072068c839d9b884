"""What externals put into the tree, beside what is versioned there: noted in the side tree, so that it can be told
apart and taken out again."""

from __future__ import annotations

from collections.abc import Iterator

from swhkit.plugin import Entry
from swhkit_svn.externals import External, Malformed, parse
from swhkit_svn.originals import SAME
from swhkit_svn.state import EXTERNAL, FILE, FOLDER, MADE, State


def defined(text: bytes | None) -> list[External]:
    """The externals of a property; none if a line of it cannot be read."""
    try:
        return parse(text) if text else []
    except Malformed:
        return []


def joined(folder: bytes, path: bytes) -> bytes:
    """A path below a folder."""
    return folder + b"/" + path if folder and path else folder or path


def make_way(state: State, folder: bytes, path: bytes) -> None:
    """Make the folders above an external's path."""
    for prefix in _between(folder, path):
        there = state.now.main.get(prefix)
        if there is None:
            state.now.main.make(prefix)
            state.now.side.put(prefix + b"/" + FOLDER, SAME, FILE | MADE)
        elif there.type != "dir":
            return


def graft(state: State, folder: bytes, path: bytes, entry: Entry) -> None:
    """Put what an external gives at its path; what is versioned there stays."""
    full = joined(folder, path)
    make_way(state, folder, path)
    if state.now.at(full) is not None or any(
        (there := state.now.main.get(prefix)) is None or there.type != "dir"
        for prefix in _between(folder, path)
    ):
        return
    if entry.type == "dir":
        state.now.main.attach(full, entry.target)
    else:
        state.now.main.put(full, entry.target, entry.perms)
    state.now.side.put(full, SAME, FILE | EXTERNAL)


def take_out(state: State, folder: bytes, path: bytes) -> None:
    """Remove what an external gave, and the folders made for it that are empty now."""
    full = joined(folder, path)
    there = state.now.side.get(full)
    if there is not None and there.type != "dir" and there.perms & EXTERNAL:
        state.now.main.remove(full)
        state.now.side.remove(full)
    for prefix in reversed(list(_between(folder, path))):
        mark = state.now.side.get(prefix + b"/" + FOLDER)
        if mark is None or not mark.perms & MADE or state.now.main.entries(prefix):
            return
        state.now.main.remove(prefix)
        state.now.side.remove(prefix)


def _between(folder: bytes, path: bytes) -> Iterator[bytes]:
    """The folders between ``folder`` and the last name of ``path``, from the top."""
    names = path.split(b"/")
    for count in range(1, len(names)):
        yield joined(folder, b"/".join(names[:count]))
