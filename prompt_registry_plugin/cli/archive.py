"""The command that hides a prompt from lists."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say, whole_prompt_name


@click.command()
@click.argument("name", shell_complete=complete_prompts)
@click.option("--off", is_flag=True, help="Show it again.")
@click.option("--reason", help="Why; kept in the history.")
@json_option
@registry_option
def archive(name: str, off: bool, reason: str | None, as_json: bool) -> None:
    """Hide a prompt from lists and searches; it still loads."""
    name, registry = whole_prompt_name(name), open_existing()
    (registry.restore_prompt if off else registry.archive_prompt)(name, reason=reason)
    say(f"{name} is {'shown again' if off else 'archived'}", {"name": name, "archived": not off}, as_json)
