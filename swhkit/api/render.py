"""Which form an answer takes (``Accept``, ``?format=``), ``?fields=``, and the bytes it becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec
import yaml

from swhkit.api.errors import NotAcceptable, UnknownFormat

JSON, YAML, HTML = "application/json", "application/yaml", "text/html"
_FORMATS = {"json": JSON, "yaml": YAML, "html": HTML}
_SafeDumper: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_SafeDumper):  # type: ignore[valid-type, misc]
    """Writes an object that occurs twice twice, not as an alias."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        """Always."""
        return True


def media_type(accept: str | None, format: str | None) -> str:
    """The form to answer in.

    Raises ``UnknownFormat``, ``NotAcceptable``.
    """
    if format is not None:
        if format not in _FORMATS:
            raise UnknownFormat("")
        wanted = _FORMATS[format]
    else:
        wanted = negotiated(accept) or ""
    if not wanted:
        raise NotAcceptable("Could not satisfy the request Accept header.")
    return wanted


@lru_cache(maxsize=256)
def negotiated(accept: str | None) -> str | None:
    """The best of JSON, YAML and HTML for an ``Accept`` header (RFC 9110, 12.5.1); None if it takes none of them."""
    if accept is None or not accept.strip():
        return JSON
    weights = dict(_ranges(accept))
    best = max((JSON, YAML, HTML), key=lambda kind: _weight(kind, weights))
    return best if _weight(best, weights) > 0 else None


def _ranges(accept: str) -> Iterable[tuple[str, float]]:
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            yield name, float(quality)
        except ValueError:
            yield name, 1.0


def _weight(kind: str, weights: Mapping[str, float]) -> float:
    for name in (kind, kind.partition("/")[0] + "/*", "*/*"):
        if name in weights:
            return weights[name]
    return 0.0


def only_fields(data: object, fields: str | None) -> object:
    """``data`` with only the keys that ``fields`` lists, at the top of an object or of each object of an array."""
    wanted = {name.strip() for name in (fields or "").split(",")} - {""}
    if not wanted:
        return data
    if isinstance(data, dict):
        return _kept(data, wanted)
    if isinstance(data, list):
        return [_kept(item, wanted) if isinstance(item, dict) else item for item in data]
    return data


def _kept(data: Mapping[str, object], wanted: set[str]) -> dict[str, object]:
    return {key: value for key, value in data.items() if key in wanted}


def encoded(data: object, kind: str) -> bytes:
    """``data`` as compact UTF-8 JSON or block-style YAML; None is an empty body. Pages are made by ``pages``."""
    if data is None:
        return b""
    if kind == YAML:
        text = yaml.dump(data, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True)
        return text.encode("utf-8")
    return msgspec.json.encode(data)
