"""The command that protects an alias."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say, whole_prompt_name


@click.command()
@click.argument("name", shell_complete=complete_prompts)
@click.option("--alias", default="production", show_default=True, help="The alias to protect.")
@click.option("--off", is_flag=True, help="Take the protection away.")
@click.option("--reason", help="Why; kept in the history.")
@json_option
@registry_option
def protect(name: str, alias: str, off: bool, reason: str | None, as_json: bool) -> None:
    """Make every move of an alias take --force and a reason."""
    name, registry = whole_prompt_name(name), open_existing()
    (registry.unprotect_alias if off else registry.protect_alias)(name, alias, reason=reason)
    said = f"{name}@{alias} is {'no longer ' if off else ''}protected"
    say(said, {"name": name, "alias": alias, "protected": not off}, as_json)
