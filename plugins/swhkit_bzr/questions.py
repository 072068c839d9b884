"""What is asked of a branch's repository in one go: the graph of its revisions, and some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swhkit_bzr.branch import Branch
from swhkit_bzr.history import History
from swhkit_bzr.inflate import inflate
from swhkit_bzr.oldrevision import parse_xml
from swhkit_bzr.record import Record
from swhkit_bzr.revision import NOTATION, parse
from swhkit_bzr.smart import Refused

#: Bytes of a revision, and of those of one answer; how many are asked for at once.
_RECORD, _RECORDS, _BATCH = 16 << 20, 32 << 20, 200


def history_of(branches: Sequence[Branch], tip: bytes) -> History:
    """The ancestors of a revision. What a branch does not have is asked of those it is stacked on.

    Raises ``ValueError``, ``Refused``, ``Broken``, ``LimitExceeded``.
    """
    history = History()
    wanted = [tip]
    for number, branch in enumerate(branches):
        for id in wanted:
            if id not in history:
                _add(history, branch, number, id)
        if number + 1 < len(branches):
            _name_ghosts(history, branch, number)
            wanted = history.ghosts() or [tip]
    if tip not in history:
        raise ValueError(f"the last revision, {tip!r}, is missing")
    history.arrange(tip)
    return history


def records_of(branch: Branch, ids: Sequence[bytes]) -> dict[bytes, Record]:
    """The revisions of these ids; those that the repository does not have are left out.

    Raises ``ValueError``, ``Refused``, ``Broken``, ``LimitExceeded``.
    """
    answer = branch.texts.call(b"Repository.iter_revisions", branch.repository, body=b"\n".join(ids))
    if answer.arguments[-1:] != [branch.notation]:
        raise ValueError("the revisions come in another notation than was announced")
    found: dict[bytes, Record] = {}
    left = _RECORDS
    while answer.body.peek(1):
        data = inflate(answer.body, min(left, _RECORD))
        left -= len(data)
        record = parse(data) if branch.notation == NOTATION else parse_xml(data)
        found[record.id] = record
    return found


def _add(history: History, branch: Branch, number: int, id: bytes) -> None:
    """Add a revision and its ancestors, if they are in the branch's repository."""
    try:
        answer = branch.texts.call(b"Repository.get_revision_graph", branch.repository, id)
    except Refused as error:
        if error.word != b"nosuchrevision":
            raise
    else:
        history.read(answer.body, number)


def _name_ghosts(history: History, branch: Branch, number: int) -> None:
    """Note the parents that the graph leaves out, being elsewhere: the revisions themselves name them."""
    ids = [id for id in history.ids if id in history and history.source(id) == number]
    for batch in _batches(ids):
        for record in records_of(branch, batch).values():
            history.add(record.id, record.parents, number)


def _batches(ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    return (ids[first : first + _BATCH] for first in range(0, len(ids), _BATCH))
