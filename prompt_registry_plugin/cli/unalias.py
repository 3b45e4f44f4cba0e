"""The command that deletes an alias."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import force_option, json_option, open_existing, registry_option, say, whole_prompt_name


@click.command()
@click.argument("name", shell_complete=complete_prompts)
@click.option("--alias", required=True, help="The alias to delete.")
@click.option("--reason", help="Why; kept in the history.")
@force_option
@json_option
@registry_option
def unalias(name: str, alias: str, reason: str | None, force: bool, as_json: bool) -> None:
    """Delete an alias; its moves stay in the history."""
    name = whole_prompt_name(name)
    open_existing().delete_prompt_alias(name, alias, reason=reason, force=force)
    say(f"{name}@{alias} is deleted", {"name": name, "alias": alias, "version": None}, as_json)
