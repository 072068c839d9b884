"""``swhkit worker``: visit and list what is due, until it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

import click

from swhkit.cli.common import open_desk, settings
from swhkit.cli.main import printable
from swhkit.errors import InvalidInput
from swhkit.worker.pool import Worker
from swhkit.worker.service import unshared


@click.command("worker")
@click.option(
    "--slots", type=click.IntRange(1, 64), help="How many jobs to work on at a time (jobs.workers)."
)
@click.option("--once", is_flag=True, help="End when nothing is due.")
@click.pass_context
def command(ctx: click.Context, slots: int | None, once: bool) -> None:
    """Work on jobs: visits and listings that are asked for or due.

    Each is done in a process of its own; of each a line is printed when it has ended. SIGTERM and Ctrl-C end it: what is
    under way is broken off, and comes again at the next start; a second one kills. Several workers may run at once.
    """
    found = settings(ctx)
    if (reason := unshared(found)) is not None:
        raise InvalidInput(reason)
    worker = Worker(
        open_desk(ctx), slots or found.jobs.workers or 1, lambda line: click.echo(printable(line))
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ended_by(worker))
    worker.run(once)


def _ended_by(worker: Worker) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, _frame: FrameType | None) -> None:
        if worker.stopping:
            signal.signal(number, signal.SIG_DFL)  # a third one ends what does not even kill
            worker.kill()
        else:
            worker.stop()

    return handle
