"""A module whose RCS files can be read here: what they say, and the contents of their revisions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from swhkit.plugin import Content, LimitExceeded, NotFound, VisitContext
from swhkit_cvs.facts import Committed, Facts, FileRow
from swhkit_cvs.keywords import Keywords, Shown
from swhkit_cvs.lineage import DEAD, history, is_vendors, texts_of
from swhkit_cvs.module import LeftOut, Module
from swhkit_cvs.rcs import Damaged, Delta, RcsFile, parse
from swhkit_cvs.texts import Text, Texts

#: All files are plain ones: that an RCS file is executable says something of when it was made, and no revision has it.
PERMS = 0o100644


def git_digest(text: Text) -> bytes:
    """The id (20 bytes) of the content that a text is."""
    digest = hashlib.sha1(b"blob %d\0" % len(text.data))
    digest.update(text.data)
    return digest.digest()


class Folder:
    """Reads the RCS files of a module twice: first what they say, then, when it is known what is wanted, the texts."""

    def __init__(self, context: VisitContext, module: Module) -> None:
        self._context, self._module = context, module

    def note(self, facts: Facts) -> LeftOut:
        """Put all files and their revisions into ``facts``. Raises ``NotFound``, ``Damaged``,
        ``Unavailable``, ``LimitExceeded``.
        """
        self._module.note_files(facts)
        left_out = self._module.left_out
        count = facts.number_files()
        if not count and not left_out.count:
            raise NotFound(f"{self._module.url}: there are no RCS files (,v) in this module")
        for done, file in enumerate(facts.files()):
            self._context.progress("reading histories", done, count)
            with self._open(file) as rcs:
                facts.add_revisions(file.id, map(_Committed(rcs), history(rcs.deltas.values())))
        return left_out

    def contents(self, facts: Facts, count: int) -> Iterator[Content]:
        """The contents of all revisions that are part of a changeset, file by file; their ids go into ``facts``."""
        texts, keywords = Texts(self._context.scratch / "texts"), self._module.keywords()
        for done, file in enumerate(facts.files()):
            self._context.progress("reading contents", done, count)
            if wanted := facts.wanted(file.id):
                with self._open(file) as rcs:
                    yield from self._contents_of(facts, file, rcs, wanted, texts, keywords)

    def _contents_of(
        self,
        facts: Facts,
        file: FileRow,
        rcs: RcsFile,
        wanted: dict[bytes, int],
        texts: Texts,
        keywords: Keywords,
    ) -> Iterator[Content]:
        found: list[tuple[int, bytes, int]] = []
        for delta, text in texts_of(rcs, wanted, texts):
            expanded = keywords.expanded(text, rcs.expand, self._shown(file, rcs, delta), texts)
            found.append((wanted[delta.number], git_digest(expanded), PERMS))
            yield Content(expanded.source())
            if expanded is not text:
                expanded.close()
        facts.set_contents(file.id, found)

    def _shown(self, file: FileRow, rcs: RcsFile, delta: Delta) -> Shown:
        path = self._module.shown + b"/" + file.place
        return Shown(path, delta.number, delta.date, delta.author, delta.state, _log(rcs, delta))

    @contextmanager
    def _open(self, file: FileRow) -> Iterator[RcsFile]:
        """A file that was read; what is wrong with it while it is used is said with its name."""
        try:
            with self._module.read(file.place, self._context.scratch) as data:
                yield parse(data)
        except Damaged as error:
            raise Damaged(f"{self._module.place_text(file.place)} is damaged: {error}") from error
        except LimitExceeded as error:
            raise LimitExceeded(f"{self._module.place_text(file.place)} is too large: {error}") from error


class _Committed:
    """Makes facts of deltas of one file."""

    def __init__(self, rcs: RcsFile) -> None:
        self._rcs = rcs

    def __call__(self, delta: Delta) -> Committed:
        log, vendors = _log(self._rcs, delta), is_vendors(delta.number)
        dead = delta.state == DEAD
        return Committed(delta.number, delta.date, delta.author, log, delta.commitid, dead, vendors)


def _log(rcs: RcsFile, delta: Delta) -> bytes:
    if delta.log is None:
        raise Damaged(f"revision {delta.number.decode()} has no log message")
    return rcs.string(delta.log)
