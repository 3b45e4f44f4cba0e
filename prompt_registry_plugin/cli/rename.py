"""The command that renames a prompt."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say


@click.command()
@click.argument("old", shell_complete=complete_prompts)
@click.argument("new")
@click.option("--reason", help="Reason, for the history.")
@json_option
@registry_option
def rename(old: str, new: str, reason: str | None, as_json: bool) -> None:
    """Rename a prompt.

    Versions, aliases, tags, history and adopted texts move with it. Code that loads the prompt by its old name has to be changed.

    \b
      prompt-registry rename agent/instructions support
    """
    version = open_existing().rename_prompt(old, new, reason=reason)
    say(f"{old} is now {version.name}", {"old": old, "name": version.name}, as_json)
