"""The vectors in ``tests/data/vectors``: what the reference implementation made of given origins and objects."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "vectors"


def cases(name: str) -> dict[str, dict[str, Any]]:
    """The cases of the file ``NAME.json`` (``git``, ``hg``, ``svn``, ``archives``, ``bzr``, ``cvs``), by id."""
    found = json.loads((FOLDER / f"{name}.json").read_bytes())["cases"]
    return {case["id"]: case for case in found}


#: The cases of the git loader, by id.
CASES = cases("git")


def unpack(id: str, folder: Path, case: dict[str, Any] | None = None) -> Path:
    """Unpack the input of a case (one of git's without ``case``) below ``folder`` (made if it is not there; left empty
    if the case has no input).

    Returns where the repository of the case is, for cases of one step. Some inputs name their repository with links;
    the inputs are ours, and ``tar`` lets no member out of the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    case = case or CASES[id]
    if "input" in case:
        subprocess.run(["tar", "-xzf", FOLDER / case["input"], "-C", folder], check=True)
    path: str = case["path"]
    return folder / path
