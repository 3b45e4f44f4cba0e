"""Commands that move prompts in and out: export, import, copy."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.registry.current import current_registry, open_registry


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
            export_registry(registry, sys.stdout)
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
        raise StoreUnavailable(f"cannot write {file}: {error}") from error
    say(f"{count} rows written to {file}", {"rows": count, "file": str(file)}, as_json)


@click.command("import")
@click.argument("format_name", metavar="FORMAT")
@click.argument("source")
@json_option
@registry_option
def import_(format_name: str, source: str, as_json: bool) -> None:
    """Import prompts from another tool, or a whole export.

    FORMAT is jsonl (an export, into an empty registry), mlflow (its SQLite file or a server's address), langfuse (JSON), langsmith
    (a manifest), promptfoo (YAML), prompty or dotprompt (a file or folder), openai (JSON of responses made with prompt=), or what a
    plugin brings. Importing again adds only what is new.
    """
    from prompt_registry_plugin.transfer.archive import import_prompts, read_prompts, restore_registry

    if format_name == "jsonl":
        if not Path(source).is_file():
            raise UserError(f"there is no file {source}")
        count = restore_registry(current_registry(), Path(source))
        say(f"{count} rows restored", {"rows": count}, as_json)
        return
    found = read_prompts(default_plugin_manager(), source, format_name)  # before a registry is made for nothing
    versions = import_prompts(current_registry(), found, reason=f"imported from {format_name}")
    names = sorted({version.name for version in versions})
    said = f"{len(versions)} new versions of {len(names)} prompts" + (f": {', '.join(names[:10])}" if names else "")
    say(said + (" …" if len(names) > 10 else ""), {"versions": [version.uri for version in versions]}, as_json)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_option
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy a whole registry, with its history, traces and runs, from one URL into an empty one."""
    from prompt_registry_plugin.cli.settings import check_exists
    from prompt_registry_plugin.transfer.archive import copy_registry

    check_exists(source)
    with open_registry(source) as old, open_registry(target) as new:
        count = copy_registry(old, new)
        say(f"{count} rows copied to {new.place}", {"rows": count, "to": new.place}, as_json)
