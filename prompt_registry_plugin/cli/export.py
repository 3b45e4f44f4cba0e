"""`prompt-registry export`."""

from __future__ import annotations

from pathlib import Path

import click

from prompt_registry_plugin.cli.echo import data_stream
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@registry_option
def export(file: Path, as_json: bool) -> None:
    """Write the whole registry, history, traces and runs included, to FILE as JSON Lines; `-` is standard output."""
    from prompt_registry_plugin.errors import StoreUnavailable
    from prompt_registry_plugin.transfer.archive import export_registry

    registry = open_existing()
    try:
        if str(file) == "-":
            export_registry(registry, data_stream())
            return
        file = file.resolve()
        if file.exists() and not file.is_file():  # a pipe or a device cannot be replaced
            with file.open("w", encoding="utf-8") as out:
                count = export_registry(registry, out)
        else:
            part = file.with_name(f".{file.name}.part")  # a cut export must not stand in the place of a whole one
            try:
                with part.open("w", encoding="utf-8") as out:
                    count = export_registry(registry, out)
                part.replace(file)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        if str(file) == "-" and isinstance(error, BrokenPipeError):
            raise  # `export - | head` ends there
        raise StoreUnavailable(f"cannot write {file}: {error}") from error
    say(f"{count} rows written to {file}", {"rows": count, "file": str(file)}, as_json)
