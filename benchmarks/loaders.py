"""How long loads of Mercurial, Subversion and tar origins take, against the system's own way to read all of them.

    python benchmarks/loaders.py PATH [--kinds hg,svn,wide,tar] [--times N] [--keep DIR]

The origins are made from the git repository at PATH (see ``sources``); with ``--keep`` they are made once and used
again. Claims: a first load, ids, digests and publish included and half a second of start-up aside, takes at most so
many times as ``hg clone -U --pull``, ``svnadmin dump`` to nowhere, and ``tar x`` to disk (``LIMITS``). Both sides run in
turn, N times, and change places each time. What a revision takes is printed beside.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure
import sources

START_UP = 0.5
LIMITS = {"hg": 4.0, "svn": 6.0, "wide": 6.0, "tar": 8.0}
TYPES = {"hg": "hg", "svn": "svn", "wide": "svn", "tar": "tarball-directory"}
MAKERS: dict[str, Callable[[Path, Path], Path]] = {
    "hg": sources.make_hg,
    "svn": sources.make_svn,
    "wide": sources.make_wide,
    "tar": sources.make_tar,
}


def theirs(kind: str, origin: Path, folder: Path) -> float:
    """Wall seconds of the system's own program for everything in the origin."""
    if kind == "hg":
        return measure.seconds("hg", "clone", "-q", "-U", "--pull", origin, folder / "clone")
    if TYPES[kind] == "svn":
        return measure.seconds("sh", "-c", 'exec svnadmin dump -q "$0" >/dev/null', origin)
    (folder / "extracted").mkdir()
    return measure.seconds("tar", "-x", "-f", origin, "-C", folder / "extracted")


def one_round(kind: str, origin: Path, folder: Path, ours_first: bool) -> tuple[float, dict[str, Any]]:
    """Their seconds, and our report, from nothing in ``folder``."""
    archive = measure.new_archive(folder / "archive")
    if ours_first:
        report = measure.load(archive, origin.as_uri(), TYPES[kind])
        return theirs(kind, origin, folder), report
    needed = theirs(kind, origin, folder)
    return needed, measure.load(archive, origin.as_uri(), TYPES[kind])


def measured(kind: str, origin: Path, times: int, scratch: Path | None) -> measure.Result:
    """The claim for one kind of origin."""
    rounds = []
    for number in range(times):
        with measure.scratch(scratch) as folder:
            rounds.append(one_round(kind, origin, folder, ours_first=number % 2 == 1))
    ours = [report["wall"] for _, report in rounds]
    result = measure.ratio(
        f"{kind} load / own program", ours, [needed for needed, _ in rounds], LIMITS[kind], START_UP
    )
    if kind != "tar":
        count = sources.revisions(kind, origin)
        each = sorted(ours)[len(ours) // 2] / count * 1000
        result.detail += f"; {count} revisions, {each:.2f} ms each"
    result.detail += f"; new {rounds[0][1]['new']}"
    return result


def main() -> int:
    """Make the origins, run the rounds, print the ratios."""
    parser = measure.arguments(__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="rounds")
    parser.add_argument("--kinds", default="hg,svn,wide,tar", help="which, with commas between")
    parser.add_argument("--keep", type=Path, help="where the origins are made, or lie already")
    options = parser.parse_args()
    with measure.scratch(options.folder) as made:
        results = []
        for kind in options.kinds.split(","):
            folder = (options.keep or made) / kind
            if not (folder / "done").exists():
                folder.mkdir(parents=True)
                MAKERS[kind](Path(options.repository).resolve(), folder)
                (folder / "done").touch()
            origin = next(path for path in folder.iterdir() if path.name != "done")
            results.append(measured(kind, origin, max(options.times, 1), options.folder))
    return measure.finish(results, options)


if __name__ == "__main__":
    sys.exit(main())
