"""Replays revisions one after the other on one tree: each is that of the one before it, changed where it differs."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from itertools import islice

from swhkit.plugin import (
    Bytes,
    Content,
    ExtId,
    Item,
    Kind,
    LimitExceeded,
    ObjectId,
    Tree,
    VisitContext,
    object_id,
)
from swhkit_bzr.branch import Branch
from swhkit_bzr.history import History
from swhkit_bzr.inventory import Delta, Line, deltas, lines_of, move
from swhkit_bzr.revision import Record, parse, revision_of
from swhkit_bzr.texts import Texts

EXTID, VERSION = "bzr-nodeid", 1
#: What is looked at in one go: revisions, lines and bytes of their deltas.
_REVISIONS, _LINES, _BYTES = 200, 2000, 4 << 20
#: Lines of one delta that are put into the tree in one go; bytes of the revisions of one answer.
_CHUNK, _RECORDS = 1000, 64 << 20
_FOLDER, _LINK = 0o040000, 0o120000
