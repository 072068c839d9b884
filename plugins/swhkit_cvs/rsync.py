"""A module fetched by rsync: its RCS files, as they are, into the scratch folder.

The program asks for regular files that end in ``,v`` and nothing else: no links, devices, owners or modes. It goes
through a proxy of ours, which connects the address that was checked and counts what comes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from swhkit.plugin import (
    ChildFailed,
    ChildTimeout,
    InvalidUrl,
    NotFound,
    Target,
    Unavailable,
    VisitContext,
    egress,
    without_secrets,
)
from swhkit_cvs import CvsConfig
from swhkit_cvs.module import LeftOut, Module

_OPTIONS = (
    "--recursive", "--no-links", "--no-devices", "--no-specials", "--chmod=D0700,F0600", "--no-motd",
    "--include=/CVSROOT/config", "--include=*/", "--include=*,v", "--exclude=*",
)  # fmt: skip
#: What rsync says where something is not there; its codes (rsync(1), "EXIT VALUES"): 5 is the start, 23 some files.
_MISSING = {5: "Unknown module", 23: "No such file or directory (2)"}
#: The name is as it is on the other side.
_SKIPPED = re.compile(rb'^skipping non-regular file "(.*)"$', re.MULTILINE)


def fetched(context: VisitContext, target: Target, config: CvsConfig) -> Module:
    """The module at ``target``, below the scratch folder, with the ``CVSROOT/config`` of its repository beside it.

    Raises ``NotFound``, ``Unavailable``, ``LimitExceeded``, ``InvalidUrl``, ``MissingProgram``.
    """
    url = without_secrets(target.url)
    parts = urlsplit(target.url)
    path = os.fsdecode(unquote_to_bytes(parts.path)).strip("/")
    names = path.split("/")
    if (
        not names[0]
        or not {"", ".", ".."}.isdisjoint(names)
        or any(sign in path for sign in "*?[\\")
        or parts.query
    ):
        raise InvalidUrl(f"{url}: write rsync://HOST/PATH/OF/MODULE, with none of *, ?, [ and .. in it")
    fetch = _Fetch(context, target, config, url)
    folder = context.scratch / "rsync"
    (folder / "module").mkdir(parents=True)
    said = fetch.run([*_OPTIONS], path + "/", folder / "module")
    left_out = LeftOut()
    for match in _SKIPPED.finditer(said):
        left_out.add(match[1], "no regular file")
    for depth in range(len(names) - 1, 0, -1):
        try:
            fetch.run(["--no-motd"], "/".join([*names[:depth], "CVSROOT", "config"]), folder / "CVSROOT")
            break
        except NotFound:
            continue
    return Module(folder / "module", os.fsencode("/" + path), url, left_out)


class _Fetch:
    """Runs rsync against one host."""

    def __init__(self, context: VisitContext, target: Target, config: CvsConfig, url: str) -> None:
        self._context, self._target, self._url = context, target, url
        self._most, self._wait = config.max_transfer, config.answer_time

    def run(self, options: list[str], path: str, folder: Path) -> bytes:
        """Bring ``path`` into ``folder``. Returns what rsync has to say."""
        parts = urlsplit(self._target.url)
        user = f"{unquote(parts.username)}@" if parts.username else ""
        source = f"rsync://{user}{parts.netloc.rpartition('@')[2]}/{path}"
        argv = ["rsync", *options, f"--timeout={max(1, int(self._wait))}", "--", source, f"{folder}/"]
        self._context.progress("fetching")
        deadline = self._context.runner.deadline
        with egress(self._context.network, self._target, limit=self._most, deadline=deadline) as proxy:
            environment = {"RSYNC_PROXY": proxy.url.removeprefix("http://")}
            if parts.password:
                environment["RSYNC_PASSWORD"] = unquote(parts.password)
            try:
                return self._context.runner.run(argv, env=environment, max_output=64 << 20).stdout
            except ChildFailed as error:
                raise proxy.cause() or self._error(error) from error

    def _error(self, error: ChildFailed) -> NotFound | Unavailable:
        if isinstance(error, ChildTimeout):
            return Unavailable(f"{self._url}: rsync was not ready in time")
        said = [line for line in error.stderr.splitlines() if line.strip()]
        first, about = (
            said[0][:300] if said else f"code {error.code}",
            said[:-1],
        )  # its last line is about itself
        if len(about) <= 1 and _MISSING.get(error.code, "\n") in first:
            return NotFound(f"{self._url}: it is not there: {first}")
        return Unavailable(f"{self._url}: rsync could not bring all of it: {first}")
