"""Requests to save code: what is decided on them, what is written down, which jobs they get, what became of them.

``save`` and ``submit`` take requests, ``decide`` and ``set_prefix`` are for those who review them, ``standing`` and ``rows``
tell how it goes. A request that was accepted gets its job even if whoever accepted it died (``ensure_jobs``), and a new one
if that was lost (``restore_jobs``).
"""

from swhkit.saving.asking import BLOCKED, HOURLY, Asker, Rejected, decide, save
from swhkit.saving.bulk import BULK_TYPES, BulkRefused, BulkRow, RejectedOrigin, rows, submit
from swhkit.saving.employing import ensure_jobs
from swhkit.saving.lost import restore_jobs
from swhkit.saving.prefixes import Prefixes, remove_prefix, set_prefix
from swhkit.saving.rules import ARCHIVES, TYPES, check_type, checked_url, words
from swhkit.saving.standing import Standing, standing, standings

__all__ = [
    "ARCHIVES",
    "BLOCKED",
    "BULK_TYPES",
    "HOURLY",
    "TYPES",
    "Asker",
    "BulkRefused",
    "BulkRow",
    "Prefixes",
    "Rejected",
    "RejectedOrigin",
    "Standing",
    "check_type",
    "checked_url",
    "decide",
    "ensure_jobs",
    "remove_prefix",
    "restore_jobs",
    "rows",
    "save",
    "set_prefix",
    "standing",
    "standings",
    "submit",
    "words",
]
