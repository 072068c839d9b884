"""Wheels built offline with the back end that is installed, and environments of their own to install them into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(argv: Sequence[str | Path], cwd: str | Path = "/") -> str:
    """Run a command away from the checkout; its standard output. A failure shows all that it said."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_checkout(target: Path) -> Path:
    """A copy of what the distribution is built from, so that a build leaves no trace in the checkout."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        top = Path(folder) == ROOT
        made = {
            name
            for name in names
            if top and (name.startswith(".") or name in ("run", "archive", "dist", "build"))
        }
        return {*made, "__pycache__"} & set(names)

    shutil.copytree(ROOT, target, ignore=left_out, dirs_exist_ok=True, symlinks=True)
    return target


def wheel_of(source: Path, target: Path) -> Path:
    """The wheel of the project in ``source``, in the new folder ``target``."""
    run([sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", target, source])
    [wheel] = target.glob("*.whl")
    return wheel


def installed(folder: Path, *wheels: Path) -> Path:
    """The interpreter of a new environment in ``folder`` with these wheels in it, and the dependencies of this one."""
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin/python"
    site = Path(run([python, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(site)
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in dependencies))
    return python
