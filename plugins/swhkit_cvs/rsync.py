"""A module fetched by rsync: its RCS files, as they are, into the scratch folder."""

from __future__ import annotations

from swhkit.plugin import Target, VisitContext
from swhkit_cvs import CvsConfig
from swhkit_cvs.module import Module


def fetched(context: VisitContext, target: Target, config: CvsConfig) -> Module:
    raise NotImplementedError
