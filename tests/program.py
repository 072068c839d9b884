"""The ``swhkit`` program as a person runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def environment() -> dict[str, str]:
    """What a child needs to find this checkout's modules and nothing of the developer's settings."""
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return keep | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def start(*args: str | Path, cwd: Path, **options: Any) -> subprocess.Popen[str]:
    """Start ``swhkit ARGS`` in ``cwd``."""
    return subprocess.Popen(
        [sys.executable, "-m", "swhkit", *args], cwd=cwd, env=environment(), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def run(
    *args: str | Path, cwd: Path, code: int | None = 0, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run ``swhkit ARGS`` in ``cwd`` to its end; ``code`` None allows any exit code."""
    process = start(*args, cwd=cwd)
    out, err = process.communicate(timeout=timeout)
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    assert "Traceback" not in err, err
    assert code is None or done.returncode == code, (done.returncode, out, err)
    return done


def load(*urls: str | Path, cwd: Path, code: int | None = 0) -> list[dict[str, Any]]:
    """``swhkit load --json``; returns the reports."""
    reports: list[dict[str, Any]] = json.loads(run("load", "--json", *urls, cwd=cwd, code=code).stdout)
    return reports


def counters(cwd: Path) -> dict[str, int]:
    """``swhkit stats --json``."""
    counts: dict[str, int] = json.loads(run("stats", "--json", cwd=cwd).stdout)
    return counts
