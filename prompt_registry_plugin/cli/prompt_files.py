"""What the commands about prompt files share: their arguments, and the table that they print."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from prompt_registry_plugin.cli.echo import echo

_SIGNS = {
    "same": "in step with the registry",
    "ahead": "changed here: push",
    "behind": "changed in the registry: pull",
    "new file": "not in the registry yet: push",
    "new prompt": "not here yet: pull",
    "file missing": "the file is gone: pull brings it back",
    "deleted": "deleted in the registry; delete the file too, or change it and push",
    "conflict": "changed on both sides",
}
folder_argument = click.argument("folder", type=click.Path(path_type=Path))
names_argument = click.argument("names", nargs=-1)


def report_files(
    entries: list[Any], as_json: bool, *, done: dict[str, str] | None = None, versions: dict[str, int] | None = None
) -> None:
    """Print the state of each file, and exit with 1 on a conflict. `done` names states that the command has just changed."""
    with suppress(BrokenPipeError):  # the exit code says whether there are conflicts
        _print_files(entries, as_json, done or {}, versions or {})
    if any(entry.state == "conflict" for entry in entries):
        raise SystemExit(1)


def _print_files(entries: list[Any], as_json: bool, done: dict[str, str], versions: dict[str, int]) -> None:
    from prompt_registry_plugin.cli.display import console, print_json, print_table, three_way_panel

    rows = [
        (
            entry.name,
            done.get(entry.state, entry.state),
            str(versions.get(entry.name, entry.newest.version if entry.newest else "")),
        )
        for entry in entries
    ]
    if as_json:
        print_json(
            [{"name": name, "state": state, "version": int(version) if version else None} for name, state, version in rows]
        )
    else:
        shown = [row for row in rows if row[1] != "same"]
        if shown:
            print_table(("prompt", "state", "version", ""), [(*row, _SIGNS.get(row[1], "")) for row in shown])
        counts = Counter(state for _, state, _ in rows)
        echo(", ".join(f"{count} {state}" for state, count in counts.items()) or "no prompts")
    for entry in entries:
        if entry.note:
            echo(f"{entry.name}: {entry.note}", err=as_json)
    conflicts = [entry for entry in entries if entry.state == "conflict"]
    if conflicts and not as_json:
        for entry in conflicts:
            console().print(three_way_panel(entry.name, *entry.texts))
        echo(
            "Put what you want of both into the file, then `prompt-registry resolve FOLDER NAME`; nothing was overwritten.",
            err=True,
        )
