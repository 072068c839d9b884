"""What to say of a damaged row, and what to do about it."""

from __future__ import annotations

from swhkit.storage import Finding
from swhkit.swhid import Kind, ObjectId
from swhkit_sqlite.catalog.sums import KEYS, Value

_DERIVED = "run `swhkit reindex`, which makes it anew"
_LOAD = "load its origin again, which makes it anew; or restore the file from a copy"
_COPY = "restore the file from a copy: nothing else knows what it said"
_STEPS = {
    "content": f"{_DERIVED} from the objects",
    "person": _DERIVED,
    "closed_tip": "run `swhkit reindex`, which forgets it: the next visit of the origin is then a whole one",
    "counter": _DERIVED,
    "visit": _COPY,
    "visit_status": _COPY,
    "gap": _COPY,
}
#: Tables whose ``digest`` is of an object of this kind; in others a column says the kind.
_KINDS = {"content": Kind.CONTENT, "snapshot": Kind.SNAPSHOT}


def finding(table: str, row: dict[str, Value], file: str) -> Finding:
    """The finding about a row that does not match its checksum; any of its values may be wrong."""
    named = ", ".join(f"{key} {_shown(row[key])}" for key in KEYS.get(table, ("id",)))
    about = row.get("url") or row.get("target")
    text = f"a row of {table} ({named}{f', {_shown(about)}' if about else ''}) does not match its checksum"
    return Finding(text, _STEPS.get(table, _LOAD), _object(table, row), file)


def _shown(value: Value) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text[:200].encode("utf-8", "backslashreplace").decode("utf-8")


def _object(table: str, row: dict[str, Value]) -> ObjectId | None:
    """The object a row seems to be about."""
    digest = row.get("sha1_git") or row.get("digest")
    try:
        kind = _KINDS.get(table) or Kind(str(row.get("kind")))
    except ValueError:
        return None
    return ObjectId(kind, digest) if isinstance(digest, bytes) and len(digest) == 20 else None
