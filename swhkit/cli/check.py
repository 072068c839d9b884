"""``swhkit check``: verify the archive."""

from __future__ import annotations

import click
import msgspec

from swhkit.check import Problem, Verdict, check
from swhkit.cli.common import emit_json, json_option, open_archive
from swhkit.cli.main import printable
from swhkit.cli.progress import counting
from swhkit.errors import InvalidInput
from swhkit.scratch import scratch_folder
from swhkit.units import parse_duration

_FOUND, _OUT_OF_TIME = 1, 4


@click.command("check")
@click.option("--full", is_flag=True, help="Read and hash every object, and compare catalog and objects.")
@click.option(
    "--budget", metavar="T", help="Stop a full check after T (90s, 5m, 6h); the next one goes on from there."
)
@json_option
@click.pass_context
def command(ctx: click.Context, full: bool, budget: str | None, as_json: bool) -> int:
    """Verify the archive.

    Without --full the containers are looked at: checksums and structure. Exit codes: 0 nothing is wrong; 1 something
    is: each finding names object, file and origins, and what to do (origins when the check has come to its end); 4 the
    budget ended first (the place is kept). Nothing is changed.
    """
    seconds = _seconds(budget, full)
    archive = open_archive(ctx, write=True, create=False)
    with scratch_folder("check") as scratch, counting("check") as tell:
        verdict = check(archive, scratch, full=full, budget=seconds, tell=tell)
    if as_json:
        emit_json(msgspec.to_builtins(verdict))
    else:
        _print(verdict, full)
    if verdict.problems:
        return _FOUND
    return 0 if verdict.complete else _OUT_OF_TIME


def _seconds(budget: str | None, full: bool) -> float | None:
    if budget is None:
        return None
    if not full:
        raise InvalidInput("--budget goes with --full; the quick check needs none")
    try:
        return parse_duration(int(budget) if budget.isdecimal() else budget)
    except ValueError as error:
        raise InvalidInput(f"--budget: {error}") from None


def _print(verdict: Verdict, full: bool) -> None:
    for problem in verdict.problems:
        for line in _lines(problem):
            click.echo(printable(line))
    looked = ", ".join(f"{count:,} {what}" for what, count in verdict.checked.items())
    depth = (
        f"full check ({looked or 'nothing to read'})" if full else "quick check (--full reads every object)"
    )
    count = len(verdict.problems) + verdict.more
    found = f"{count:,} finding{'s' * (count != 1)}" if count else "nothing is wrong"
    if verdict.more:
        found += f", of which {verdict.more:,} are not listed"
    if not verdict.complete:
        found += " so far; the budget ended first: run it again to go on from here"
    click.echo(f"{depth}: {found}")


def _lines(problem: Problem) -> list[str]:
    where = ", ".join(part for part in (problem.object, problem.file) if part)
    lines = [f"{where}: {problem.problem}" if where else problem.problem]
    lines += [f"  origin: {url}" for url in problem.origins]
    return [*lines, f"  next: {problem.next_step}"]
