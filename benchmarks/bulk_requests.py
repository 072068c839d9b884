"""What ``benchmarks/jobs.py`` needs to ask for ten thousand origins as a client does: one POST to a running server."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measure

#: What a token must allow.
PERMISSION = "swh.web.api.save_bulk"


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, str]]:
    """A server without workers over a new archive in ``folder``: its URL, and the secret of a token that may ask."""
    config = measure.new_archive(folder / "archive") / "swhkit.yaml"
    start = [*measure.SWHKIT, "--config", str(config)]
    user = ("--user", "bench", "--email", "bench@localhost.invalid", "--permission", PERMISSION)
    secret = measure.run(*start, "token", "create", "bench", *user).decode().strip()
    argv = [*start, "serve", "--workers", "0", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=measure.environment()) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), secret
        finally:
            process.send_signal(signal.SIGTERM)


def asked(url: str, secret: str, origins: list[str]) -> float:
    """Seconds from sending the request to having its answer. Raises ``HTTPError`` if it is refused."""
    rows = [{"origin_url": origin, "visit_type": "git"} for origin in origins]
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    request = urllib.request.Request(
        f"{url}api/1/origin/save/bulk/", json.dumps(rows).encode(), headers, method="POST"
    )
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["status"] == "accepted"
    return time.perf_counter() - begun
