"""The command that writes prompts of the registry to files."""

from __future__ import annotations

from pathlib import Path

import click

from prompt_registry_plugin.cli.prompt_files import folder_argument, names_argument, report_files
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option


@click.command()
@folder_argument
@names_argument
@json_option
@registry_option
def pull(folder: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Write what is new in the registry to one file a prompt in FOLDER; files that changed here stay as they are."""
    from prompt_registry_plugin.transfer import folder as sync

    report_files(
        sync.pull(open_existing(), folder, names),
        as_json,
        done={"behind": "pulled", "new prompt": "pulled", "file missing": "pulled"},
    )
