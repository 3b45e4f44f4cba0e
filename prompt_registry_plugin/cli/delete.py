"""The command that deletes a version or a prompt."""

from __future__ import annotations

from typing import Any

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say, whole_prompt_name


@click.command()
@click.argument("reference", metavar="NAME[/VERSION]", shell_complete=complete_prompts)
@click.option("--yes", is_flag=True, help="Do it; deleting cannot be taken back.")
@click.option("--reason", help="Why; kept in the history.")
@json_option
@registry_option
def delete(reference: str, yes: bool, reason: str | None, as_json: bool) -> None:
    """Delete one version, or a prompt with all its versions, for good; refused while an alias points there."""
    registry = open_existing()
    name, _, version = reference.removeprefix("prompts:/").rpartition("/")
    if name and version.isdigit():
        registry.delete_version(name, int(version), confirm=yes, reason=reason)
        data: dict[str, Any] = {"name": name, "version": int(version)}
    else:
        name = whole_prompt_name(reference)
        registry.delete_prompt(name, confirm=yes, reason=reason)
        data = {"name": name}
    say(f"deleted {reference}", data, as_json)
