"""The command that registers changed prompt files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.prompt_files import folder_argument, names_argument, report_files
from prompt_registry_plugin.cli.settings import force_option, json_option, registry_option
from prompt_registry_plugin.errors import UserError

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts.version import PromptVersion


@click.command()
@folder_argument
@names_argument
@click.option("--message", "-m", help="The commit message of the new versions.")
@click.option("--alias", help="An alias to point at what is pushed.")
@force_option
@json_option
@registry_option
def push(folder: Path, names: tuple[str, ...], message: str | None, alias: str | None, force: bool, as_json: bool) -> None:
    """Register the files in FOLDER that changed, all of them or, with a conflict, none."""
    from prompt_registry_plugin.registry.current import current_registry
    from prompt_registry_plugin.transfer import folder as sync

    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}")

    def show_move(version: PromptVersion, before: int | None) -> None:
        at = "new" if before is None else f"was version {before}"
        echo(f"{version.name}@{alias} is version {version.version} ({at})", err=as_json)

    entries, versions = sync.push(current_registry(), folder, names, message=message, alias=alias, force=force, on_move=show_move)
    pushed = {version.name: version.version for version in versions}
    report_files(entries, as_json, done={"ahead": "pushed", "new file": "pushed"} if pushed else {}, versions=pushed)
