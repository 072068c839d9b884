"""``hg serve`` for tests, on a free port of the loopback interface."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import free_port, wait_for


@contextmanager
def hg_http(root: Path) -> Iterator[str]:
    """``hg serve`` over every repository directly below ``root``; yields the base of their URLs."""
    port = free_port()
    config = root / "hgweb.conf"
    config.write_text(f"[paths]\n/ = {root}/*\n")
    process = subprocess.Popen(
        ["hg", "serve", "-a", "127.0.0.1", "-p", str(port), "--web-conf", config],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "HGRCPATH": "", "HGPLAIN": "1"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
