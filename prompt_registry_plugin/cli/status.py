"""The command that shows adopted prompts, or how a folder differs from the registry."""

from __future__ import annotations

from pathlib import Path

import click

from prompt_registry_plugin.cli.prompt_files import names_argument, report_files
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option
from prompt_registry_plugin.errors import UserError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@names_argument
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
    report_files(entries, as_json)
    if strict and any(entry.state != "same" for entry in entries):  # also what only the registry holds
        raise SystemExit(1)
