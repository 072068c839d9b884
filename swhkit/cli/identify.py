"""``swhkit identify``: SWHIDs of files, folders, repositories and archives, without an archive of ours."""

from __future__ import annotations

import sys

import click


@click.command("identify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "-t",
    "--type",
    "kind",
    type=click.Choice(["auto", "cnt", "dir", "rev", "rel", "snp", "origin"]),
    default="auto",
    show_default=True,
    help="What to compute.",
)
@click.option(
    "--dereference/--no-dereference",
    default=True,
    help="Follow a symbolic link given as PATH (default: yes).",
)
@click.option(
    "--filename/--no-filename", default=True, help="Print the path behind the SWHID (default: yes)."
)
@click.option(
    "-x",
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave out entries of this name or path (repeatable).",
)
@click.option("-r", "--recursive", is_flag=True, help="Print everything below PATH too, PATH itself last.")
@click.option("-v", "--verify", metavar="SWHID", help="Compare with this SWHID: exit 1 if it is another.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array of {swhid, path} objects.")
def command(
    paths: tuple[str, ...],
    kind: str,
    dereference: bool,
    filename: bool,
    exclude: tuple[str, ...],
    recursive: bool,
    verify: str | None,
    as_json: bool,
) -> None:
    """Compute SWHIDs of what lies on this machine.

    PATH is a file, a folder, a git repository, a URL (its origin), or - for standard input. By default a file is
    its content, a bare repository its snapshot, and any other folder a directory, with its .git if it has one:
    --type snp, rev or rel asks for the repository instead (all refs, the revision of HEAD, each annotated tag).

    ARCHIVE//INNER looks into an archive file without unpacking it: pkg.tar.gz//src/main.c is that file,
    pkg.tar.gz// is the root directory, which --type dir pkg.tar.gz gives too. A plain pkg.tar.gz is the content of
    the file itself. Tar may be plain or packed with gzip, bzip2, xz, lzma, lzip, zstd or compress, whatever its name.
    Nix archives are read too, and what libarchive can read (7z, cpio, deb, rpm, iso and others) where it is installed.
    """
    from swhkit.errors import InvalidInput
    from swhkit.identify import Identified, Options, identify, identify_stream
    from swhkit.swhid import parse_extended

    if verify is not None and (len(paths) > 1 or recursive):
        raise InvalidInput("--verify compares one PATH, without --recursive")
    reference = None if verify is None else parse_extended(verify)
    options = Options(type=kind, follow=dereference, exclude=exclude, recursive=recursive)
    shown: list[dict[str, str]] = []
    last = None
    for path in paths:
        if path == "-":
            if kind not in ("auto", "cnt"):
                raise InvalidInput(f"standard input is a content, not of type {kind}")
            found = iter([Identified(identify_stream(sys.stdin.buffer), path)])
        else:
            found = identify(path, options)
        for last in found:
            if last.note:
                click.echo(f"swhkit: {_printable(last.note)}", err=True)
            if as_json:
                shown.append({"swhid": str(last.id), "path": _printable(last.label)})
            elif reference is None:
                click.echo(f"{last.id}\t{_printable(last.label)}" if filename else str(last.id))
    matches = reference is None or (last is not None and last.id == reference)
    if as_json:
        import json

        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    elif reference is not None and last is not None:
        click.echo(
            f"SWHID match: {last.id}" if matches else f"SWHID mismatch: {reference} != {last.id}",
            err=not matches,
        )
    if not matches:
        raise SystemExit(1)


def _printable(text: str) -> str:
    """One line without control characters; bytes that are not UTF-8 are written as ``\\xNN``."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
