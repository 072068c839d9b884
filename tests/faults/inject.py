"""Runs ``swhkit`` commands with faults in them: a process under the shim that forks for each command it is told of.

Started by ``Injector``, spoken to in lines of JSON. Forking spares each run the imports. The product has no hook for
this: here, in the test's own process, ``Runner`` is made to hand the shim's environment on to children, and for the
fault ``memory`` functions that would allocate raise ``MemoryError`` at their Nth call.
"""

from __future__ import annotations

import builtins
import ctypes
import importlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

_FAULTS = Path(__file__).resolve().parent
for _folder in (_FAULTS.parent, *(_FAULTS.parents[1] / name for name in ("", "plugins", "backends"))):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from faults import shim  # noqa: E402

#: What the shim's faults are called, and the one that is made in Python.
KINDS = ("EIO", "ENOSPC", "short", "full", "memory")
_VARIABLES = ("LD_PRELOAD", "FAULTS_CONTROL", "FAULTS_LOG")
#: What a load imports, so that the forks need not.
_IMPORTED = (
    "swhkit.cli.load", "swhkit.visit", "swhkit_git.loader", "swhkit_sqlite.catalog", "swhkit_sqlite.objects",
    "swhkit_filesystem.store", "pygit2", "swhkit.closure", "swhkit.config.show",
)  # fmt: skip
#: What raises ``MemoryError``: (module, attribute or class.attribute).
_POINTS = (
    (builtins, "open"), (io, "open"), (os, "open"), (os, "write"), (os, "fsync"), (os, "rename"), (os, "replace"),
    (os, "link"), (os, "unlink"), (os, "mkdir"), ("msgspec.json", "encode"), ("msgspec.msgpack", "encode"),
    ("swhkit.records", "encode"), ("swhkit.pack", "PackWriter._write"), ("subprocess", "Popen.__init__"),
    ("swhkit_sqlite.connection", "Connection.execute"), ("swhkit_sqlite.connection", "Connection.executemany"),
)  # fmt: skip


class Ended(NamedTuple):
    """How a command ended, and what it met: ``calls`` in all, of which the first that failed was ``hit``."""

    code: int
    out: str
    err: str
    calls: int
    hit: str


class Injector:
    """Runs commands with faults, one at a time; a context manager. ``folder`` is for its own files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.log = folder, folder / "log"
        control = folder / "control"
        shim.make_control(control)
        self._control = shim.map_control(control)
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | shim.environment(shim.build(folder), control, self.log) | {"PYTHONPATH": path},
        )  # fmt: skip

    def __enter__(self) -> Injector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=30)

    def run(
        self, *argv: str, cwd: Path, root: Path, kind: str = "none", nth: int = 0, logging: bool = False
    ) -> Ended:
        """Run ``swhkit ARGV`` in ``cwd``; the ``nth`` call below ``root`` meets ``kind``."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        out, err = self._folder / "out", self._folder / "err"
        if logging:
            self.log.unlink(missing_ok=True)
        task = {
            "argv": argv,
            "cwd": str(cwd),
            "out": str(out),
            "err": str(err),
            "memory": nth if kind == "memory" else 0,
        }
        self._control.reset(root, "none" if kind == "memory" else kind, nth, logging=logging)
        self._server.stdin.write(json.dumps(task) + "\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        self._control.rest()
        hit = answer["hit"] if kind == "memory" else self._control.hit
        count = answer["count"] if kind == "memory" else self._control.count
        return Ended(
            answer["code"], out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace"), count, hit
        )


# -- the process under the shim ----------------------------------------------------------------------------------


class _Memory:
    """Counts calls of functions that it wraps and lets the Nth fail."""

    def __init__(self, nth: int) -> None:
        self._nth, self._lock = nth, threading.Lock()
        self.count, self.hit, self.armed = 0, "", False

    def wrap(self, owner: Any, name: str) -> None:
        real: Callable[..., Any] = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            with self._lock:
                self.count += self.armed
                now = self.armed and self.count == self._nth
                if now:
                    shown = [str(argument) for argument in args[:2] if isinstance(argument, str | int | Path)]
                    self.hit = f"{getattr(owner, '__name__', owner)}.{name} {' '.join(shown)[:200]}"
            if now:
                raise MemoryError
            return real(*args, **options)

        setattr(owner, name, counted)


def _arm(nth: int) -> _Memory:
    """Wrap all points. They count from where the archive is opened: before that there is nothing to lose."""
    from swhkit import assemble

    memory, really = _Memory(nth), assemble.open_archive

    def open_archive(*args: Any, **options: Any) -> Any:
        memory.armed = True
        return really(*args, **options)

    assemble.open_archive = open_archive
    for module, attribute in _POINTS:
        owner: Any = importlib.import_module(module) if isinstance(module, str) else module
        *classes, name = attribute.split(".")
        for one in classes:
            owner = getattr(owner, one)
        memory.wrap(owner, name)
    return memory


def _pass_on() -> None:
    """Children of swhkit get the shim too; they are started with an environment of their own."""
    from swhkit.process import Runner

    clean = Runner._base_environment
    ours = {name: os.environ[name] for name in _VARIABLES}
    Runner._base_environment = lambda self: clean(self) | ours  # type: ignore[method-assign]


def _command(task: dict[str, Any], answer: int) -> int:
    """In the fork: run the command; what memory has met is written to the pipe ``answer``."""
    from swhkit.cli.main import main

    os.chdir(task["cwd"])
    for number, name in ((1, "out"), (2, "err")):
        fd = os.open(task[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(fd, number)
        os.close(fd)
    pipe = os.fdopen(answer, "w")
    memory = _arm(task["memory"]) if task["memory"] else _Memory(0)
    sys.argv = ["swhkit", *task["argv"]]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    pipe.write(json.dumps({"code": code, "count": memory.count, "hit": memory.hit}))
    pipe.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _serve() -> None:
    ctypes.CDLL(None).faults_prepare()
    for name in _IMPORTED:
        importlib.import_module(name)
    _pass_on()
    tasks, answers = sys.stdin, os.fdopen(os.dup(1), "w")
    for line in tasks:
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            code = 99
            try:
                code = _command(json.loads(line), writable)
            except BaseException:  # noqa: BLE001
                sys.excepthook(*sys.exc_info())  # what reaches this is a flaw; it has to be seen
            finally:
                os._exit(code)
        os.close(writable)
        with os.fdopen(readable, "r") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        answers.write((answer or json.dumps({"code": code, "count": 0, "hit": ""})) + "\n")
        answers.flush()


if __name__ == "__main__":
    _serve()
