"""The default object store: objects in git packs, in a bare git object directory without refs.

::

    archive:
      objects: {backend: filesystem, path: archive/objects}
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from swhkit.plugin import Provider, hookimpl


class FilesystemConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the packs lie: ``path`` is the folder of the git object directory."""

    path: Path


@hookimpl
def swhkit_object_stores() -> list[Provider]:
    """Describe the store; nothing heavy is imported before it is opened."""
    return [
        Provider(
            name="filesystem",
            summary="git packs in a folder; the default",
            factory="swhkit_filesystem.store:open_store",
            config=FilesystemConfig,
        )
    ]
