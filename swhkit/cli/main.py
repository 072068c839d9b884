"""``swhkit``: the group of all commands, and the one place where errors become exit codes.

Listing the commands imports none of them, so that ``swhkit --help`` stays quick. Codes: 0 well; 1 what was asked for
cannot be had; 2 the request or the configuration is wrong; 70 an error of swhkit itself; 130 interrupted; 141 whoever
read the output went away; 143 ended by SIGTERM in order. Commands may end with codes of their own, which their help names.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

import swhkit
from swhkit.errors import InvalidInput, SwhkitError
from swhkit.interrupts import Cancelled

log = logging.getLogger(__name__)

#: Where each command is (its attribute ``command``), and its short help.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("swhkit.cli.init", "Make an archive and a commented configuration."),
    "load": ("swhkit.cli.load", "Visit origins now and archive them."),
    "serve": ("swhkit.cli.serve", "Serve the web API, and work on jobs beside it."),
    "worker": ("swhkit.cli.worker", "Work on jobs: visits and listings that are asked for or due."),
    "save": ("swhkit.cli.save", "Ask for visits, and decide on what others ask for."),
    "forge": ("swhkit.cli.forge", "Have forges listed, and decide on requests to add one."),
    "status": ("swhkit.cli.status", "Tell how the archive keeps up: jobs, requests, origins, forges."),
    "show": ("swhkit.cli.show", "Show what a SWHID names."),
    "cat": ("swhkit.cli.cat", "Write the bytes of a content to stdout, exactly as they are."),
    "ls": ("swhkit.cli.ls", "List a directory: mode, type, SWHID, length and name."),
    "log": ("swhkit.cli.log", "List a revision and its ancestors, breadth-first."),
    "stats": ("swhkit.cli.stats", "Count what the archive holds, kind by kind."),
    "identify": ("swhkit.cli.identify", "Compute SWHIDs of what lies on this machine."),
    "check": ("swhkit.cli.check", "Verify the archive."),
    "maintain": ("swhkit.cli.maintain", "Make the stores smaller and quicker."),
    "reindex": ("swhkit.cli.reindex", "Rebuild what can be derived from the objects."),
    "token": ("swhkit.cli.token", "Make, list or revoke access tokens of the web API."),
    "plugins": ("swhkit.cli.plugins", "List the plugins and what they provide."),
    "config": ("swhkit.cli.config", "Show or check the configuration."),
}

EXIT_FAILED, EXIT_USAGE, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_PIPE, EXIT_TERMINATED = 1, 2, 70, 130, 141, 143


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name, imported now; None if there is none."""
        if name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest name for one that does not exist."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "; `swhkit --help` lists all"
            ctx.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in the help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run and end the process with the code of the outcome (without ``standalone_mode``: return or raise)."""
        run = functools.partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        return sys.exit(_outcome(run)) if standalone_mode else run()

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; a reader of our output that went away is an exit code, not an error."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _let_go_of_stdout()
            ctx.exit(EXIT_PIPE)
        return result


def _outcome(run: Callable[[], Any]) -> int:
    """Run a command; errors become their text on stderr and an exit code."""
    try:
        result = run()
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(error.ctx.get_usage(), err=True)
        return _failed(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except Cancelled:
        return EXIT_TERMINATED
    except SwhkitError as error:
        return _failed(str(error), EXIT_USAGE if isinstance(error, InvalidInput) else EXIT_FAILED)
    except OSError as error:
        name = f": {error.filename}" if error.filename else ""
        return _failed(f"{error.strerror or error}{name}", EXIT_FAILED)
    except MemoryError:
        return _failed("there is not enough memory for this", EXIT_FAILED)
    except Exception as error:  # noqa: BLE001
        text = f"internal error: {type(error).__name__}: {error}"
        hint = "" if log.isEnabledFor(logging.DEBUG) else "; `swhkit --verbose …` shows where"
        return _failed(f"{' '.join(text.split())}{hint}", EXIT_INTERNAL)
    return result if isinstance(result, int) else 0


def _failed(text: str, code: int) -> int:
    log.debug("this is where it failed", exc_info=True)
    for line in text.splitlines() or ["an error without a text"]:
        click.echo(f"swhkit: {printable(line)}", err=True)
    return code


def printable(text: str) -> str:
    """``text`` with everything that could steer a terminal, and lone surrogates, written as escapes."""
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)


def _let_go_of_stdout() -> None:
    """Point stdout to nowhere, so that Python's own flush at exit does not complain."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _let_all_text_through() -> None:
    """Names that the terminal's encoding lacks (or that are no UTF-8) are printed as escapes instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _start_logging(verbose: bool) -> None:
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if verbose else "swhkit: %(message)s"
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format=form, force=True)
    logging.getLogger("swhkit").setLevel(logging.DEBUG if verbose else logging.NOTSET)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The configuration; else $SWHKIT_CONFIG, else ./swhkit.yaml, else an archive in ./archive.",
)
@click.option("--verbose", "-v", is_flag=True, help="Tell what is being done, and where an error came from.")
@click.version_option(swhkit.__version__, prog_name="swhkit")
def group(config: Path | None, verbose: bool) -> None:  # noqa: ARG001
    """Keep copies of software source code, with all history, under SWHIDs.

    `swhkit init` makes an archive, `swhkit load URL` fills it, `swhkit serve` lets others read it.
    """
    _let_all_text_through()
    _start_logging(verbose)


def main() -> NoReturn:
    """The entry point of the ``swhkit`` program."""
    group.main(prog_name="swhkit")
    raise AssertionError("the group ends the process")
