"""Desks for tests: an archive with stores for requests and jobs, and a configuration of a few lines."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swhkit import config
from swhkit.archive import Archive
from swhkit.config import Configuration
from swhkit.config.yamlsource import parse
from swhkit.desk import Desk, open_desk
from swhkit.registry import Registry
from swhkit.requests import Token, digest_of, new_secret

#: Stores in memory: quick, and gone with the desk.
IN_MEMORY = "archive: {requests: {backend: memory}, jobs: {backend: memory}}\n"


@functools.cache
def registry() -> Registry:
    """The plugins of this installation."""
    return Registry.load(None)


def configured(text: str, base: Path) -> Configuration:
    """A configuration as it would stand in a file in ``base``."""
    root, problems = parse(text.encode(), "swhkit.yaml", {})
    return config.decode(config.Source(root, problems, None, base), registry())


@contextmanager
def desk(archive: Archive, base: Path, text: str = IN_MEMORY) -> Iterator[Desk]:
    """A desk over ``archive``, with stores below ``base`` unless ``text`` puts them elsewhere."""
    opened = open_desk(archive, configured(text, base))
    try:
        yield opened
    finally:
        opened.close()


def bearer(desk: Desk, user: str, *permissions: str) -> dict[str, str]:
    """The headers of a user with a new token."""
    secret = new_secret()
    token = Token(
        name=f"t{len(desk.requests.tokens())}",
        user=user,
        email=f"{user}@example.org",
        permissions=frozenset(permissions),
        created=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    )
    assert desk.requests.add_token(token, digest_of(secret))
    return {"Authorization": f"Bearer {secret}"}
