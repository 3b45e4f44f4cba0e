"""The command that undoes the last move of an alias."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import force_option, json_option, open_existing, registry_option, say, whole_prompt_name


@click.command()
@click.argument("name", shell_complete=complete_prompts)
@click.option("--alias", default="production", show_default=True, help="The alias to take back.")
@click.option("--reason", help="Why; kept in the history.")
@force_option
@json_option
@registry_option
def rollback(name: str, alias: str, reason: str | None, force: bool, as_json: bool) -> None:
    """Take back the last move of an alias; again for the one before."""
    name = whole_prompt_name(name)
    version = open_existing().rollback(name, alias, reason=reason, force=force)
    say(f"{name}@{alias} is version {version.version} again", {"name": name, "alias": alias, "version": version.version}, as_json)
