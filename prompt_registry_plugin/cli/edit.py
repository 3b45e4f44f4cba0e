"""The command that makes the next version of a prompt in an editor."""

from __future__ import annotations

from dataclasses import replace

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.editing import ask_message, edit_text, file_option, keeping, message_option, read_text, tell
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say
from prompt_registry_plugin.uri import as_uri


@click.command()
@click.argument("reference", metavar="NAME[@ALIAS|/VERSION]", shell_complete=complete_prompts)
@file_option
@message_option
@json_option
@registry_option
def edit(reference: str, file: str | None, message: str | None, as_json: bool) -> None:
    """Edit a prompt: its next version.

    Opens $VISUAL or $EDITOR with the newest version, or with the one that you name, and shows what you changed. If you change
    nothing, nothing is registered. No alias moves.

    \b
      prompt-registry edit support@production
    """
    from prompt_registry_plugin.cli.display import console, diff_panel
    from prompt_registry_plugin.transfer.formats.prompt_file import as_version, content_hash, from_text, to_text

    registry = open_existing()
    before = registry.load_source(as_uri(reference))
    newest = registry.load_source(before.name)
    if newest.version != before.version:
        echo(f"note: this is version {before.version}; the newest is {newest.version}", err=True)
    text = read_text(file) if file else edit_text(to_text(before), before.name)
    with keeping(text):
        draft = from_text(text, before.name)
        if content_hash(draft) == before.content_hash:
            data = {"name": before.name, "version": before.version, "changed": False}
            say("nothing changed, so nothing was registered", data, as_json)
            return
        if not as_json:
            console().print(diff_panel(before, as_version(draft, newest.version + 1)))
        if file is None:
            message = ask_message(message)
        draft = replace(draft, parent=before.version, commit_message=message or draft.commit_message)
        version = registry.register_prompts([draft])[0]
    said = f"{version.name} is version {version.version} now; next: prompt-registry promote {version.name}/{version.version}"
    tell(said, version, as_json, changed=True)
