"""How long a git load takes, against what git itself needs.

    python benchmarks/git_load.py PATH|URL [--transport file|http] [--times N]

Claims: a first load, digests and publish included, takes at most 2.2 times a ``git clone --mirror`` of the same
repository over the same transport (start-up of half a second aside); a visit that finds nothing new takes at most
twice a ``git ls-remote`` (start-up aside). Both sides run in turn, N times, and change places each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import measure

LOAD_LIMIT, REVISIT_LIMIT, START_UP = 2.2, 2.0, 0.5


def one_round(url: str, folder: Path, ours_first: bool) -> dict[str, float]:
    """Wall seconds of ``clone``, ``load``, ``ls-remote`` and ``revisit``, from nothing in ``folder``."""
    archive = measure.new_archive(folder / "archive")
    clone = ["git", "clone", "-q", "--mirror", "--template=", "--", url, str(folder / "clone.git")]
    times: dict[str, float] = {}

    def theirs() -> None:
        times["clone"] = measure.seconds(*clone)
        times["ls-remote"] = measure.seconds("git", "ls-remote", "--", url)

    def ours() -> None:
        times["load"] = measure.load(archive, url)["wall"]
        again = measure.load(archive, url)
        if again["load_status"] != "uneventful":
            raise SystemExit(f"{url} changed during the benchmark: {again}")
        times["revisit"] = again["wall"]

    for side in (ours, theirs) if ours_first else (theirs, ours):
        side()
    return times


def main() -> int:
    """Run the rounds, print the ratios."""
    parser = measure.arguments(__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="rounds")
    options = parser.parse_args()
    rounds = []
    with measure.offered(options.repository, options.transport) as url:
        for number in range(max(options.times, 1)):
            with measure.scratch(options.folder) as folder:
                rounds.append(one_round(url, folder, ours_first=number % 2 == 1))
    column = {name: [times[name] for times in rounds] for name in rounds[0]}
    results = [
        measure.ratio("load / clone", column["load"], column["clone"], LOAD_LIMIT, START_UP),
        measure.ratio("revisit / ls-remote", column["revisit"], column["ls-remote"], REVISIT_LIMIT, START_UP),
    ]
    return measure.finish(results, options)


if __name__ == "__main__":
    sys.exit(main())
