"""Commands about files: status, pull, push, resolve."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import force_option, json_option, open_existing, registry_option
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.registry.current import current_registry

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
_folder = click.argument("folder", type=click.Path(path_type=Path))
_names = click.argument("names", nargs=-1)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@_names
@click.option("--strict", is_flag=True, help="Exit with 1 unless FOLDER and the registry are equal.")
@json_option
@registry_option
def status(folder: Path | None, names: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Show adopted prompts, or how FOLDER differs.

    Without FOLDER, shows the adopted prompts and the coverage table of the newest trace. With FOLDER, shows how the prompt files in it
    differ from the registry, and exits with 1 on a conflict.
    """
    from prompt_registry_plugin.transfer import folder as sync

    if folder is None:
        from prompt_registry_plugin.cli.coverage import show_status

        show_status(as_json)
        return
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; `prompt-registry pull {folder}` makes one")
    entries = sync.status(open_existing(), folder, names)
    _report(entries, as_json)
    if strict and any(entry.state != "same" for entry in entries):  # also what only the registry holds
        raise SystemExit(1)


@click.command()
@_folder
@_names
@json_option
@registry_option
def pull(folder: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Write what is new in the registry to one file a prompt in FOLDER; files that changed here stay as they are."""
    from prompt_registry_plugin.transfer import folder as sync

    _report(
        sync.pull(open_existing(), folder, names),
        as_json,
        done={"behind": "pulled", "new prompt": "pulled", "file missing": "pulled"},
    )


@click.command()
@_folder
@_names
@click.option("--message", "-m", help="The commit message of the new versions.")
@click.option("--alias", help="An alias to point at what is pushed.")
@force_option
@json_option
@registry_option
def push(folder: Path, names: tuple[str, ...], message: str | None, alias: str | None, force: bool, as_json: bool) -> None:
    """Register the files in FOLDER that changed, all of them or, with a conflict, none."""
    from prompt_registry_plugin.transfer import folder as sync

    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")

    def show_move(version: PromptVersion, before: int | None) -> None:
        at = "new" if before is None else f"was version {before}"
        echo(f"{version.name}@{alias} is version {version.version} ({at})", err=as_json)

    entries, versions = sync.push(current_registry(), folder, names, message=message, alias=alias, force=force, on_move=show_move)
    pushed = {version.name: version.version for version in versions}
    _report(entries, as_json, done={"ahead": "pushed", "new file": "pushed"} if pushed else {}, versions=pushed)


@click.command()
@_folder
@click.argument("names", nargs=-1, required=True)
@json_option
@registry_option
def resolve(folder: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Mark conflicts as settled, once the files in FOLDER hold what you want of both sides; then push."""
    from prompt_registry_plugin.transfer import folder as sync

    _report(sync.resolve(open_existing(), folder, names), as_json)


def _report(
    entries: list[Any], as_json: bool, *, done: dict[str, str] | None = None, versions: dict[str, int] | None = None
) -> None:
    from prompt_registry_plugin.cli.display import console, print_json, print_table, three_way_panel

    done, versions = done or {}, versions or {}
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
    conflicts = [entry for entry in entries if entry.state == "conflict"]
    if conflicts:
        if not as_json:
            for entry in conflicts:
                console().print(three_way_panel(entry.name, *entry.texts))
            echo(
                "Put what you want of both into the file, then `prompt-registry resolve FOLDER NAME`; nothing was overwritten.",
                err=True,
            )
        raise SystemExit(1)
