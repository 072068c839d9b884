"""One visit of a CVS module: note its files and their revisions, group them, bring contents, then build revisions."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing

from swhkit.plugin import (
    InvalidUrl,
    Load,
    NotFound,
    Outcome,
    Target,
    VisitContext,
    VisitStatus,
    without_secrets,
)
from swhkit_cvs import CvsConfig
from swhkit_cvs.facts import Facts
from swhkit_cvs.folder import Folder
from swhkit_cvs.module import Module
from swhkit_cvs.pserver import Pserver
from swhkit_cvs.revisions import revisions
from swhkit_cvs.rsync import fetched


def make(config: CvsConfig) -> CvsLoader:
    """The factory the provider names."""
    return CvsLoader(config)


class CvsLoader:
    """Loads one CVS module."""

    def __init__(self, config: CvsConfig) -> None:
        self._config = config

    def load(self, context: VisitContext) -> Load:
        """Contents, directories, one revision a changeset, the snapshot. See ``Loader.load``."""
        target = context.network.check(context.url)
        with ExitStack() as stack:
            source = self._source(context, target, stack)
            facts = stack.enter_context(closing(Facts(context.scratch / "facts.sqlite")))
            left_out = source.note(facts)
            changesets = facts.group()
            yield from source.contents(facts, facts.count_files())
            yield from revisions(context, facts, changesets)
        return Outcome(VisitStatus.PARTIAL, reason=left_out.reason) if left_out.count else None

    def _source(self, context: VisitContext, target: Target, stack: ExitStack) -> Folder | Pserver:
        url = without_secrets(target.url)
        if target.scheme == "pserver":
            return Pserver(context, target, self._config, stack)
        if target.scheme == "rsync":
            return Folder(context, fetched(context, target, self._config))
        if target.path is None:
            raise InvalidUrl(f"{url}: CVS modules are loaded from file, rsync and pserver URLs")
        if not target.path.is_dir():
            raise NotFound(f"{url}: there is no such folder")
        return Folder(context, Module(target.path, os.fsencode(target.path), url))
