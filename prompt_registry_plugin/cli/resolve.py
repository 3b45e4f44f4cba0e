"""The command that marks conflicts of prompt files as resolved."""

from __future__ import annotations

from pathlib import Path

import click

from prompt_registry_plugin.cli.prompt_files import folder_argument, report_files
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option


@click.command()
@folder_argument
@click.argument("names", nargs=-1, required=True)
@json_option
@registry_option
def resolve(folder: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Mark conflicts as settled, once the files in FOLDER hold what you want of both sides; then push."""
    from prompt_registry_plugin.transfer import folder as sync

    report_files(sync.resolve(open_existing(), folder, names), as_json)
