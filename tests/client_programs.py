"""The clients as programs in an environment of their own, what is archived for them, and the server they ask.

The environment is ``.venv-clients``, which ``tools/prepare.sh clients`` makes of ``clients/requirements.txt``.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from generate import git, repository
from program import start

HERE = Path(__file__).parent / "clients"
PROGRAMS = Path(__file__).parent.parent / ".venv-clients" / "bin"
#: Branches of ``many.git``: three pages of a snapshot.
BRANCHES = 2_300
#: Repositories whose objects have something that is not in every one.
VECTORS = (
    "git-basic", "git-submodule", "git-refs", "git-hdr-mergetag", "git-hdr-gpgsig", "git-msg-latin", "git-msg-none",
    "git-tag-notagger", "git-tag-signed", "git-tree-emptysub", "git-head-dangling", "git-head-detached", "git-empty",
)  # fmt: skip


@dataclass(frozen=True)
class Library:
    """What was archived: bare repositories by name, their origins' URLs, and the visits that ``swhkit load`` reported."""

    folder: Path
    repositories: dict[str, Path]
    origins: dict[str, str]
    visits: dict[str, list[dict[str, Any]]]

    def snapshot(self, name: str) -> str:
        """The snapshot of the latest visit."""
        swhid: str = self.visits[name][-1]["snapshot"]
        return swhid


def many_branches(path: Path) -> Path:
    """A repository of few objects and many branches."""
    repository(path, 2, seed=7, branches=0)
    tip = git(path, "rev-parse", "main")
    lines = (f"create refs/heads/n/{number:04} {tip}\n" for number in range(BRANCHES))
    git(path, "update-ref", "--stdin", input="".join(lines).encode())
    return path


def export(repository: Path, folder: Path) -> Path:
    """The files of a repository's HEAD, without git's own."""
    folder.mkdir(parents=True)
    argv = ["git", "-c", "safe.directory=*", "--git-dir", str(repository), "archive", "HEAD"]
    packed = subprocess.run(argv, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed, check=True)
    return folder


@contextmanager
def serving(folder: Path, *options: str | Path) -> Iterator[str]:
    """``swhkit serve`` in ``folder``; yields the base URL of the API, with a slash at its end."""
    process = start(*options, "serve", "--listen", "127.0.0.1:0", cwd=folder)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("http://"), process.communicate(timeout=10)
        yield f"{line}api/1/"
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert "Traceback" not in said, said


@dataclass(frozen=True)
class Clients:
    """Runs the clients' programs with a home folder that knows nothing but what a test put there."""

    home: Path

    def run(
        self, program: str, *args: str | Path, input: str | None = None, code: int = 0,
        **environment: str
    ) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a program of the environment to its end."""
        known = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [PROGRAMS / program, *args], cwd=self.home, env=known | environment, input=input, timeout=120, check=False,
            capture_output=True, text=True, errors="surrogateescape",
        )  # fmt: skip
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def swh(self, *args: str | Path, **options: Any) -> str:
        """What ``swh ARGS`` prints."""
        return self.run("swh", *args, **options).stdout

    def scan(self, folder: Path, form: str, api: str, *options: str, **settings: Any) -> str:
        """What ``swh scanner scan`` prints; the address of the API comes from the configuration file."""
        # Without it the scanner begins with a dialogue.
        marker = self.home / ".cache" / "swh" / "scanner_setup_was_run"
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text("SWH SCANNER SETUP 1.0\n")
        file = self.home / "swh.yml"
        file.write_text(yaml.safe_dump({"web-api": {"url": api}, **settings}))
        command = ("scanner", "scan", "--no-web-ui", "--output-format", form, *options, str(folder))
        return self.swh(*command, SWH_CONFIG_FILENAME=str(file))


class Driver:
    """Running ``drive_web_client.py``, one for each settings: the pacing of two clients in one process may break down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[str]] = {}

    def _process(self, settings: str) -> subprocess.Popen[str]:
        if settings not in self._running:
            log = self._folder / f"log{len(self._running)}"
            with log.open("wb") as errors:
                self._running[settings] = subprocess.Popen(
                    [PROGRAMS / "python", HERE / "drive_web_client.py", settings], cwd=self._folder, text=True,
                    env={"HOME": str(self._folder)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                )  # fmt: skip
        return self._running[settings]

    @property
    def log(self) -> str:
        """What the clients have logged so far."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("log*")))

    def ask(self, settings: dict[str, Any], calls: list[tuple[str, list[Any], dict[str, Any]]]) -> list[Any]:
        """Call methods of a client; an outcome for each."""
        process = self._process(json.dumps(settings))
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(calls), file=process.stdin, flush=True)
        # A client that waits for ever is ended, which ends the line.
        alarm = threading.Timer(120, process.kill)
        alarm.start()
        line = process.stdout.readline()
        alarm.cancel()
        assert line, self.log[-4000:]
        outcomes: list[Any] = json.loads(line)
        return outcomes

    def close(self) -> None:
        """End them."""
        for process in self._running.values():
            process.kill()
            process.communicate(timeout=60)


class WebClient:
    """A ``WebAPIClient`` of swh-web-client with these settings."""

    def __init__(self, driver: Driver, url: str, **settings: Any) -> None:
        self.driver = driver
        self._settings = {"api_url": url, **settings}

    def outcomes(self, *calls: tuple[Any, ...]) -> list[dict[str, Any]]:
        """Each call is a method, its arguments, and named ones in a dict at the end."""
        named = [call if isinstance(call[-1], dict) else (*call, {}) for call in calls]
        return self.driver.ask(self._settings, [(method, args, options) for method, *args, options in named])

    def values(self, *calls: tuple[Any, ...]) -> list[Any]:
        """What the calls return; none may fail."""
        found = self.outcomes(*calls)
        assert not [outcome for outcome in found if "error" in outcome], found
        return [outcome["value"] for outcome in found]

    def value(self, *call: Any) -> Any:
        """What one call returns."""
        return self.values(call)[0]
