"""The command that compares two versions."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.uri import as_uri


@click.command()
@click.argument("old", metavar="OLD", shell_complete=complete_prompts)
@click.argument("new", metavar="NEW", required=False, shell_complete=complete_prompts)
@json_option
@registry_option
def diff(old: str, new: str | None, as_json: bool) -> None:
    """Compare two versions word by word.

    With one name, compares the newest version with the one before it.

    \b
      prompt-registry diff support/1 support@production
    """
    from prompt_registry_plugin.cli.display import console, diff_panel, diff_texts, print_json

    registry = open_existing()
    if new is None:
        after = registry.load_prompt(as_uri(old))
        if after.version == 1:
            raise UserError(f"{after.uri} is the first version; name the two to compare")
        before = registry.load_prompt(after.name, after.version - 1)
    else:
        before, after = registry.load_prompt(as_uri(old)), registry.load_prompt(as_uri(new))
    if as_json:
        old_text, new_text = diff_texts(before, after)
        print_json({"old": before.uri, "new": after.uri, "old_text": old_text, "new_text": new_text})
    else:
        console().print(diff_panel(before, after))
