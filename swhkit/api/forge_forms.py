"""The fields of requests to add a forge: each is judged by itself, and all that is wrong is told at once.

Messages are those of the forms of the public archive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from swhkit.api.bodies import parsed
from swhkit.api.calls import Call
from swhkit.api.errors import BadInput
from swhkit.api.schemas import BOOLEAN, TEXT, Schema, choice
from swhkit.requests.forges import ForgeStatus
from swhkit.units import parse_web_address

#: Every field of a body, in the order in which problems are told, with its schema.
FIELDS: Mapping[str, Schema] = {
    "forge_type": TEXT,
    "forge_url": {**TEXT, "format": "uri"},
    "forge_contact_email": {**TEXT, "format": "email"},
    "forge_contact_name": TEXT,
    "forge_contact_comment": TEXT,
    "submitter_forward_username": BOOLEAN,
    "text": TEXT,
    "new_status": choice([str(status) for status in ForgeStatus]),
}
#: The longest texts that are taken (characters), by field.
_LONGEST = {
    "forge_type": 50,
    "forge_url": 2048,
    "forge_contact_email": 254,
    "forge_contact_name": 200,
    "forge_contact_comment": 10_000,
    "text": 10_000,
}
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f.]+(\.[^@\s\x00-\x1f.]+)*")
_YES = frozenset(("true", "t", "yes", "y", "on", "1"))
_NO = frozenset(("false", "f", "no", "n", "off", "0", "", "null"))

#: What is wrong with fields: the name of each with its messages.
Problems = dict[str, list[str]]


def fields(call: Call) -> Mapping[str, object]:
    """What the body of a call has, by name. Raises ``BadInput`` if it has no names, and what ``parsed`` raises."""
    values = parsed(call.body)
    if not isinstance(values, dict):
        raise BadInput(json.dumps({"non_field_errors": ["Invalid data. Expected a dictionary."]}))
    return values


def refuse(problems: Problems) -> None:
    """Raise ``BadInput`` with the problems of fields, in the order in which they are documented."""
    if problems:
        order = list(FIELDS)
        raise BadInput(json.dumps(dict(sorted(problems.items(), key=lambda item: order.index(item[0])))))


def text(values: Mapping[str, object], name: str, problems: Problems, *, required: bool = True) -> str:
    """A text without white space around it; empty with a problem, or where it is not ``required``."""
    value = values.get(name)
    problem = None
    if name not in values or (value is None and not required):
        problem = "This field is required." if required else None
        value = ""
    elif value is None:
        problem = "This field may not be null."
    elif not isinstance(value, str):
        problem = "Not a valid string."
    elif required and not value.strip():
        problem = "This field may not be blank."
    elif "\0" in value:
        problem = "Null characters are not allowed."
    elif len(value) > _LONGEST[name]:
        problem = f"Ensure this field has no more than {_LONGEST[name]} characters."
    if problem is not None:
        problems[name] = [problem]
    return value.strip() if isinstance(value, str) else ""


def url(values: Mapping[str, object], problems: Problems) -> str:
    """The address of a forge: http or https, without user name, password and query."""
    url = text(values, "forge_url", problems)
    if "forge_url" not in problems:
        try:
            parse_web_address(url)
            if not url.isprintable() or not urlsplit(url).hostname:
                raise ValueError
        except ValueError:
            problems["forge_url"] = ["Enter a valid URL."]
    return url


def email(values: Mapping[str, object], problems: Problems) -> str:
    """The address of somebody who looks after the forge."""
    email = text(values, "forge_contact_email", problems)
    if "forge_contact_email" not in problems and not _EMAIL.fullmatch(email):
        problems["forge_contact_email"] = ["Enter a valid email address."]
    return email


def flag(values: Mapping[str, object], name: str, problems: Problems) -> bool:
    """A yes or no, as JSON or as a word; no if it is not given."""
    value = values.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    word = str(value).strip().lower()
    if word not in _YES | _NO:
        problems[name] = ["Must be a valid boolean."]
    return word in _YES


def status(values: Mapping[str, object], problems: Problems) -> ForgeStatus | None:
    """The status that a request is to have; None if it is not given."""
    value = values.get("new_status")
    if value is None:
        return None
    try:
        return ForgeStatus(str(value))
    except ValueError:
        problems["new_status"] = [f"Value '{value}' is not a valid choice."]
        return None
