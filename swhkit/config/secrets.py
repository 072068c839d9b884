"""Secrets among settings: where they may stand, and in what form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from swhkit.config.decode import is_masked, is_struct, unwrap
from swhkit.text import without_secrets

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}", re.ASCII)


def literal_secrets(settings: Mapping[str, Any], shape: type[msgspec.Struct], path: str = "") -> list[str]:
    """The dotted paths of settings of ``shape`` that are secrets written out, rather than ``${NAME}``: by the type of the
    field, by the name of the key, or since a URL has a password in it."""
    types = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    found: list[str] = []
    for key, value in settings.items():
        plain, notes = unwrap(types[key]) if key in types else (None, ())
        here = f"{path}{key}"
        if isinstance(value, Mapping) and plain is not None and is_struct(plain):
            found += literal_secrets(value, plain, f"{here}.")
        elif _is_literal(value) if is_masked(here, notes) else _has_password(value):
            found.append(here)
    return found


def _is_literal(value: object) -> bool:
    return value is not None and not (isinstance(value, str) and _VARIABLE.fullmatch(value))


def _has_password(value: object) -> bool:
    return isinstance(value, str) and without_secrets(value) != value
