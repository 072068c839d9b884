"""How much disk an archived repository takes, and how much a fork of it adds.

    python benchmarks/disk.py PATH|URL [--transport file|http]

Claims: the archive takes at most 1.3 times a bare mirror clone, and 400 bytes for each content; a fork that is one
commit ahead, loaded into the same archive, adds at most 5 % of what the first one took. Sizes are lengths of files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import measure

DISK_LIMIT, CONTENT_BYTES, FORK_LIMIT = 1.3, 400, 0.05


def fork(clone: Path) -> Path:
    """Put one commit, with one new file, on top of HEAD of a bare clone."""

    def git(*arguments: str, stdin: bytes | None = None) -> str:
        identity = ("-c", "user.name=fork", "-c", "user.email=fork@localhost")
        return measure.run("git", "--git-dir", clone, *identity, *arguments, stdin=stdin).decode().strip()

    blob = git("hash-object", "-w", "--stdin", stdin=b"A fork has this file, the first repository has not.\n")
    listing = measure.run("git", "--git-dir", clone, "ls-tree", "-z", "HEAD")
    tree = git("mktree", "-z", stdin=listing + f"100644 blob {blob}\tforked.txt\0".encode())
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", "One commit ahead")
    git("update-ref", "HEAD", commit)
    return clone


def main() -> int:
    """Load, fork, load the fork; print the ratios."""
    options = measure.arguments(__doc__.splitlines()[0]).parse_args()
    with measure.scratch(options.folder) as folder:
        archive = measure.new_archive(folder / "archive")
        empty = measure.size(archive)
        with measure.offered(options.repository, options.transport) as url:
            clone = measure.mirror(url, folder / "forked.git")
            cloned = measure.size(clone)
            contents = measure.load(archive, url)["new"]["content"]
        first = measure.size(archive)
        with measure.offered(fork(clone), options.transport) as url:
            measure.load(archive, url)
        both = measure.size(archive)
    allowed = first - CONTENT_BYTES * contents
    detail = f"{first:,} - {CONTENT_BYTES} x {contents:,} contents, against {cloned:,} bytes"
    added = f"{both - first:,} added to {first:,} bytes ({empty:,} when empty)"
    results = [
        measure.Result("archive / mirror clone", allowed / cloned, DISK_LIMIT, detail),
        measure.Result("fork / first", (both - first) / first, FORK_LIMIT, added),
    ]
    return measure.finish(results, options)


if __name__ == "__main__":
    sys.exit(main())
