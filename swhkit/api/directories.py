"""``directory/``: listings, and single entries by path."""

from __future__ import annotations

from swhkit import query
from swhkit.api import shapes
from swhkit.api.answers import Data
from swhkit.api.calls import Call
from swhkit.api.parameters import git_hash
from swhkit.api.routing import Route
from swhkit.api.schemas import array, ref


def directory(call: Call) -> Data:
    """The entries of a directory.

    They stand in git's order. ``target_url`` leads to the content, the directory, or the revision of a submodule.
    ``length``, ``status`` and ``checksums`` are those of a file whose content is known; without one ``length`` is null.
    """
    found = query.listing(call.archive, git_hash(call.parameters["id"]))
    return Data([shapes.entry(call.links, listed) for listed in found])


def path(call: Call) -> Data:
    """The entry at a path below a directory.

    One entry, also where the path leads to a directory: its ``target`` lists that one. ``name`` is the whole path.
    """
    wanted = call.parameters["path"].encode("utf-8", "surrogateescape")
    found = query.entry(call.archive, git_hash(call.parameters["id"]), wanted)
    return Data(shapes.entry(call.links, found, wanted))


ROUTES = (
    Route(
        "directory",
        "directory/{id:hex}/",
        directory,
        category="Directory",
        answer=array(ref("DirectoryEntry")),
    ),
    Route(
        "directory-path",
        "directory/{id:hex}/{path:path}/",
        path,
        category="Directory",
        answer=ref("DirectoryEntry"),
    ),
)
