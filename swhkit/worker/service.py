"""A worker beside a program that has other things to do: a process of its own that lives as long as the program."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from swhkit.child import Child
from swhkit.config import Settings
from swhkit.errors import SwhkitError
from swhkit.process import Runner
from swhkit.scratch import scratch_folder
from swhkit.worker.pool import GRACE
from swhkit.worker.work import runner_in

_LOG = logging.getLogger("swhkit.worker")
#: Seconds before a worker that has died is started again: at first, and at most.
_FIRST, _LONGEST = 1.0, 60.0
#: Seconds after which one that has died had been well.
_WELL = 60.0
#: Seconds beyond ``GRACE`` that a worker has to end.
_MORE = 7.0


def unshared(found: Settings) -> str | None:
    """Why there can be no workers: a store that other processes cannot see; None if there can be."""
    archive = found.archive
    for key in ("objects", "catalog", "requests", "jobs"):
        provider = getattr(archive, key).provider
        if not provider.shared:
            return (
                f"archive.{key}: {provider.name} is shared with no other process, and each job has its own: workers need "
                "a backend such as sqlite"
            )
    return None


class Service:
    """Keeps ``swhkit worker`` running, between ``start`` and ``stop``.

    ``options`` stand before the command: they name the configuration. Its stderr is ours, the lines on its stdout are
    logged. It dies with this process, however that ends.
    """

    def __init__(self, slots: int, options: Sequence[str | Path] = ()) -> None:
        # -P: what lies in the current folder is no module of ours.
        self._argv = [sys.executable, "-P", "-m", "swhkit", *options, "worker", "--slots", str(slots)]
        self._stopping, self._lock = threading.Event(), threading.Lock()
        self._child: Child | None = None
        self._thread = threading.Thread(target=self._run, name="workers", daemon=True)

    def start(self) -> None:
        """Start it, without waiting until it works."""
        self._thread.start()

    def stop(self) -> None:
        """Tell it to end. Does not wait; may be repeated."""
        with self._lock:
            self._stopping.set()
            if self._child is not None:
                self._child.terminate()

    def join(self) -> None:
        """``stop``, and wait for the end; what does not end in time is killed."""
        self.stop()
        if self._thread.ident is None:
            return
        self._thread.join(GRACE + _MORE)
        with self._lock:
            if self._child is not None:
                self._child.kill()
        self._thread.join(_MORE)

    def _run(self) -> None:
        wait = _FIRST
        with scratch_folder("serve") as folder:
            runner = runner_in(folder)
            while not self._stopping.is_set():
                began = time.monotonic()
                why = self._once(runner)
                if self._stopping.is_set():
                    return
                if time.monotonic() - began > _WELL:
                    wait = _FIRST
                _LOG.warning("the worker %s: it is started again in %g s", why, wait)
                self._stopping.wait(wait)
                wait = min(wait * 2, _LONGEST)

    def _once(self, runner: Runner) -> str:
        """Have it run to its end; how that was, in words."""
        try:
            with runner.start(self._argv, cwd=Path.cwd(), stdin=False, loud=True) as child:
                self._begun(child)
                try:
                    for line in child.stdout:
                        _LOG.info("%s", line.decode("utf-8", "replace").rstrip())
                    return f"ended with code {child.wait(check=False)}"
                finally:
                    with self._lock:
                        self._child = None
        except (SwhkitError, OSError) as error:
            return f"could not be started ({error})"

    def _begun(self, child: Child) -> None:
        with self._lock:
            self._child = child
            if self._stopping.is_set():
                child.terminate()
