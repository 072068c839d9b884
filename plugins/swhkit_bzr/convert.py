"""Copies a branch of an old format, or from an old server, into a repository of today's format.

``brz branch`` does both; the copy lies in the scratch folder and the origin stays as it is. Old formats know no
branches stacked on others, so nothing but the branch itself is opened.
"""

from __future__ import annotations

import os

from swhkit.plugin import ChildFailed, NotFound, Unavailable, VisitContext
from swhkit_bzr.connect import Place, brz_environment, place_of, web_environment

_PLUGINS = "weave_fmt"  # the oldest formats


def converted(context: VisitContext, place: Place) -> Place:
    """The place of a copy of the branch in today's format. Raises ``Unavailable``."""
    shared = context.scratch / "converted"
    environment = brz_environment(context)
    local = place.target.path is not None
    source = place.target.path or place.target.url
    if not local:
        environment = web_environment(context, place.target)
    environment |= {"BRZ_PLUGINS_AT": ""}
    try:
        context.runner.run(
            ["brz", "init-shared-repository", "--quiet", "--no-trees", "--format=2a", "--", shared], env=environment
        )
        context.runner.run(
            ["brz", "branch", "--quiet", "--no-tree", "--", source, shared / "branch"], env=environment
        )
    except ChildFailed as error:
        raise Unavailable(f"{place.url}: brz could not convert the branch ({error.stderr[-300:]})") from error
    return place_of(context.network.check(str(shared / "branch")))
