"""How far a visit is, on stderr, and only where a person looks: at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from swhkit.plugin import Progress
from swhkit.visit import no_progress


@contextmanager
def shown(title: str) -> Iterator[Progress]:
    """A ``Progress`` that draws one line for ``title`` while the block runs; it draws nothing without a terminal."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(title), count="", total=None)

        def tell(phase: str, done: int = 0, total: int | None = None) -> None:
            count = f"{done:,}" + (f" of {total:,}" if total else "") if done else ""
            bar.update(task, description=f"{escape(title)}: {escape(phase)}", count=count)

        yield tell


@contextmanager
def counting(title: str) -> Iterator[Callable[[str, int], None]]:
    """As ``shown``, for work that tells how many more are done of each phase."""
    done: dict[str, int] = {}
    with shown(title) as progress:

        def tell(phase: str, more: int) -> None:
            done[phase] = done.get(phase, 0) + more
            progress(phase, done[phase])

        yield tell
