"""`prompt-registry import`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from prompt_registry_plugin.cli.settings import json_option, registry_option, registry_to_look_at, say
from prompt_registry_plugin.errors import UserError

if TYPE_CHECKING:
    from prompt_registry_plugin.transfer.imports import ImportResult

_HEADINGS = ("prompt", "result", "left out and why; what is different")
_WIDTH = 150  # columns where standard output is no terminal: reasons are sentences


@click.command("import")
@click.argument("format_name", metavar="FORMAT")
@click.argument("source")
@click.option("--dry-run", is_flag=True, help="Show the result and write nothing.")
@json_option
@registry_option
@click.pass_context
def import_(context: click.Context, format_name: str, source: str, dry_run: bool, as_json: bool) -> None:
    """Import prompts of another tool.

    FORMAT is dotprompt, langfuse, langsmith, mlflow, openai, promptfoo, prompty, or one of a plugin. SOURCE is a file; for dotprompt and
    prompty also a folder, for mlflow also a server's address. FORMAT jsonl is a whole export, into an empty registry.

    Ends with a table of all prompts: new, same, renamed, or left out and why. Exits with 1 if something was left out. Importing again
    adds only what is new.

    \b
    prompt-registry import prompty prompts/ --dry-run
    """
    from prompt_registry_plugin.plugins import default_plugin_manager
    from prompt_registry_plugin.registry.current import current_registry
    from prompt_registry_plugin.transfer.imports import import_prompts, read_prompts

    if format_name == "jsonl":
        _restore(Path(source), dry_run, as_json)
        return
    found = read_prompts(default_plugin_manager(), source, format_name)  # fails before it would create a registry
    if dry_run:
        with registry_to_look_at():
            results = import_prompts(current_registry(), found, dry_run=True)
    else:
        results = import_prompts(current_registry(), found, reason=f"imported from {format_name}")
    _report(results, dry_run, as_json)
    if any(item.left_out for item in results):
        context.exit(1)


def _restore(path: Path, dry_run: bool, as_json: bool) -> None:
    from prompt_registry_plugin.registry.current import current_registry, open_registry
    from prompt_registry_plugin.transfer.archive import restore_registry

    if not path.is_file():
        raise UserError(f"there is no file {path}")
    if dry_run:
        with TemporaryDirectory() as folder, open_registry(f"sqlite:///{folder}/trial.db") as trial:
            count = restore_registry(trial, path)
        say(f"{count} rows can be restored into an empty registry", {"rows": count, "dry_run": True}, as_json)
        return
    count = restore_registry(current_registry(), path)
    say(f"{count} rows restored", {"rows": count}, as_json)


def _report(results: list[ImportResult], dry_run: bool, as_json: bool) -> None:
    from prompt_registry_plugin.cli.display import console, make_table, print_json

    counts = Counter(item.result for item in results)
    if as_json:
        print_json({"prompts": [_as_json(item) for item in results], "counts": counts, "dry_run": dry_run})
        return
    console(_WIDTH).print(make_table(_HEADINGS, [_row(item) for item in results]))
    parts = [f"{counts[result]} {result}" for result in ("new", "renamed", "same", "left out") if counts[result]]
    click.echo(", ".join(parts) + ("; nothing was written" if dry_run else ""))


def _row(item: ImportResult) -> tuple[str, str, str]:
    result = f"renamed from {item.original!r}" if item.result == "renamed" else item.result
    versions = f", version {_numbers(item.versions)}" if item.versions else ""
    parts = item.left_out if item.result == "left out" else [f"left out: {part}" for part in item.left_out]
    return item.name, result + versions, "\n".join([*parts, *item.notes])


def _numbers(versions: tuple[int, ...]) -> str:
    """Return version numbers as `1-3, 5`."""
    runs: list[list[int]] = []
    for number in sorted(versions):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _as_json(item: ImportResult) -> dict[str, Any]:
    return {
        "prompt": item.name,
        "result": item.result,
        "versions": item.versions,
        "source_name": item.original or None,
        "left_out": item.left_out,
        "notes": item.notes,
    }
