"""One visit of a CVS module: note its files and their revisions, group them, bring contents, then build revisions."""

from __future__ import annotations

import os
from contextlib import closing

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
from swhkit_cvs.revisions import revisions


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
        source = self._source(context, target)
        with closing(Facts(context.scratch / "facts.sqlite")) as facts:
            left_out = source.note(facts)
            files = facts.count_files()
            if not files:
                raise NotFound(f"{without_secrets(context.url)}: there are no RCS files (,v) in this module")
            changesets = facts.group()
            yield from source.contents(facts, files)
            yield from revisions(context, facts, changesets)
        return Outcome(VisitStatus.PARTIAL, reason=left_out.reason) if left_out.count else None

    def _source(self, context: VisitContext, target: Target) -> Folder:
        if target.path is None:
            raise InvalidUrl(
                f"{without_secrets(context.url)}: CVS modules are loaded from file, rsync and pserver URLs"
            )
        if not target.path.is_dir():
            raise NotFound(f"{context.url}: there is no such folder")
        return Folder(context, Module(target.path, os.fsencode(target.path), context.url))
