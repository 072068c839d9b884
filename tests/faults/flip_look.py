"""One look at a damaged store, in a child with a time limit; and what healing leaves of the damage."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
for _folder in (TESTS, TESTS.parent, TESTS.parent / "plugins", TESTS.parent / "backends"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from archives import shell  # noqa: E402
from faults.flip_store import FACTS, Master, load_facts, opened, questions, served  # noqa: E402
from test_visit import Yields, history  # noqa: E402
from upkeep import load  # noqa: E402

from swhkit import manifest, visit  # noqa: E402
from swhkit.check import check  # noqa: E402
from swhkit.errors import SwhkitError  # noqa: E402
from swhkit.model import (  # noqa: E402
    Gap,
)
from swhkit.reindex import reindex  # noqa: E402
from swhkit.swhid import Kind  # noqa: E402

#: Seconds that one look at a damaged store may take.
LIMIT = 60.0


# -- looking at a damaged store --------------------------------------------------------------------------------------


@dataclass
class Look:
    """What one child saw. ``wrong``: answers that are none of right, absent, or an error."""

    wrong: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    foreign: list[str] = field(default_factory=list)
    quick: list[dict[str, Any]] = field(default_factory=list)
    full: list[dict[str, Any]] = field(default_factory=list)
    unopened: str | None = None


def in_child(work: Callable[[], Any], limit: float = LIMIT) -> Any:
    """What ``work`` returns in a fork of this process. Raises ``AssertionError`` if it hangs, crashes or raises."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        code = 1
        logging.disable(logging.CRITICAL)
        try:
            os.close(read)
            try:
                result = {"result": work()}
            except BaseException:  # noqa: BLE001
                result = {"failed": traceback.format_exc()}
            with os.fdopen(write, "w") as out:
                json.dump(result, out, default=str)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    try:
        text = _read_until(read, time.monotonic() + limit)
        if text is None:
            os.killpg(pid, signal.SIGKILL)
            raise AssertionError(f"the child hung for {limit:.0f} s")
    finally:
        os.close(read)
        _, status = os.waitpid(pid, 0)
    assert not os.WIFSIGNALED(status), f"the child crashed with signal {os.WTERMSIG(status)}"
    answer = json.loads(text)
    assert "failed" not in answer, answer["failed"]
    return answer["result"]


def _read_until(fd: int, end: float) -> str | None:
    import select

    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        part = os.read(fd, 1 << 20)
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


def look(master: Master, place: Path) -> Look:
    """Ask everything of a damaged copy at ``place``, and check it."""
    return Look(**in_child(lambda: _look(master, place)))


def _look(master: Master, place: Path) -> dict[str, Any]:
    seen = Look()
    here = Master(place, master.urls, master.objects, master.answers)
    try:
        with opened(place) as target:
            for name, ask in questions(target, here):
                _compare(seen, name, master.answers[name], ask)
        for name, answer in asyncio.run(served(here)).items():
            _compare_served(seen, name, master.answers[name], answer)
        with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
            seen.quick = [_as_dict(p) for p in check(target, Path(scratch)).problems]
            seen.full = [_as_dict(p) for p in check(target, Path(scratch), full=True).problems]
    except (SwhkitError, OSError) as error:
        seen.unopened = f"{type(error).__name__}: {error}"
    return vars(seen)


def _as_dict(problem: Any) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("problem", "next_step", "object", "file", "origins")}


def _compare(seen: Look, name: str, expected: Any, ask: Callable[[], Any]) -> None:
    try:
        got = ask()
    except (SwhkitError, OSError) as error:
        seen.errors[type(error).__name__] += 1
        return
    except Exception as error:  # noqa: BLE001
        seen.foreign.append(f"{name}: {type(error).__name__}: {error}")
        return
    if got == expected:
        return
    if not got or (
        isinstance(got, list) and isinstance(expected, list) and all(one in expected for one in got)
    ):
        seen.absent.append(name)
    else:
        seen.wrong.append(f"{name}: {got!r:.300} instead of {expected!r:.300}")


def _without_numbers(body: bytes) -> bytes:
    bare = re.sub(rb'"id":(\d+|null),"fullname"', b'"fullname"', body)
    return re.sub(rb'"(author|committer)_url":"[^"]*",', b"", bare)


def _without_rows(body: bytes) -> bytes:
    """A listing of a directory without what the catalog says of its files."""
    return re.sub(rb'"length":(\d+|null)|,"status":"\w+","checksums":\{[^}]*\}', b"", body)


def _compare_served(seen: Look, name: str, expected: Any, got: Any) -> None:
    if got == expected:
        return
    if got[0] == 200 and _without_numbers(got[1]) == _without_numbers(expected[1]):
        seen.absent.append(f"{name}: the numbers of persons")
    elif got[0] == 200 and "directory" in name and _without_rows(got[1]) == _without_rows(expected[1]):
        seen.absent.append(f"{name}: what is known of its files")
    elif got[0] == 200:
        seen.wrong.append(f"{name}: {got[1][:300]!r} instead of {expected[1][:300]!r}")
    elif got[0] == 404:
        seen.absent.append(name)
    else:
        seen.errors[f"HTTP {got[0]}"] += 1
        if b"Internal" in got[1] or not got[1].startswith(b"{"):
            seen.foreign.append(f"{name}: {got!r:.300}")


def heal(master: Master, place: Path, seen: Look) -> list[dict[str, Any]]:
    """Do what the check says (reindex, load again, maintain); what a full check says then."""
    first = any(one["next_step"].startswith("run `swhkit reindex`") for one in seen.full)
    return in_child(lambda: _heal(master, place, first), 2 * LIMIT)  # type: ignore[no-any-return]


def _heal(master: Master, place: Path, reindex_first: bool) -> list[dict[str, Any]]:
    try:
        return _healed(master, place, reindex_first)
    except (SwhkitError, OSError) as error:
        return [{"problem": f"{type(error).__name__}: {error}", "file": None, "object": None}]


def _healed(master: Master, place: Path, reindex_first: bool) -> list[dict[str, Any]]:
    with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
        if reindex_first:
            reindex(target, Path(scratch))
        for url in master.urls:
            report = load(target, url)
            if report.status != "full":
                return [{"problem": f"load of {url}: {report.error}", "file": None, "object": None}]
        load_facts(target)
        items, snapshot = history(b"gap\n", parents=(b"\x11" * 20,))
        head = manifest.object_id(items[2]).digest  # type: ignore[arg-type]
        gap = Gap("upstream is shallow", Kind.REVISION, b"\x11" * 20, head)
        visit.run(target, Yields(*items, gap, snapshot), f"{FACTS}/gap", "git", network=shell())
        target.writer()[0].maintain()
        reindex(target, Path(scratch))
    with opened(place) as target, tempfile.TemporaryDirectory() as scratch:
        return [_as_dict(p) for p in check(target, Path(scratch), full=True).problems]
