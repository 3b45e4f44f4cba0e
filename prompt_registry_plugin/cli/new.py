"""The command that makes a prompt."""

from __future__ import annotations

from dataclasses import replace

import click

from prompt_registry_plugin.cli.editing import ask_message, edit_text, file_option, keeping, message_option, read_text, tell
from prompt_registry_plugin.cli.settings import json_option, registry_option
from prompt_registry_plugin.errors import PromptExists, UserError


@click.command()
@click.argument("name")
@click.option("--text", help="The text; without it and --file, your editor opens.")
@file_option
@click.option("--alias", help="An alias to point at it, such as production.")
@message_option
@json_option
@registry_option
def new(name: str, text: str | None, file: str | None, alias: str | None, message: str | None, as_json: bool) -> None:
    """Make a prompt, in your editor or from a text.

    A variable is written {{name}}. A file may begin with settings, as `pull` writes them. If there is no registry yet, it is made.

    \b
      prompt-registry new support --text "You help {{name}}." --alias production
    """
    from prompt_registry_plugin.protocols import NewVersion
    from prompt_registry_plugin.registry.current import current_registry
    from prompt_registry_plugin.transfer.formats.prompt_file import from_text
    from prompt_registry_plugin.uri import check_alias, check_name

    check_name(name)
    if alias:
        check_alias(alias)
    if text is not None and file is not None:
        raise UserError("give --text or --file, not both")
    registry = current_registry()
    if registry.load_prompt(name, allow_missing=True) is not None:
        raise PromptExists(f"there is a prompt {name!r} already; `prompt-registry edit {name}` makes its next version")
    written = text if text is not None else read_text(file) if file else edit_text("", name)
    if not written.strip():
        raise UserError("the text is empty, so nothing was registered")
    if text is None and file is None:
        message = ask_message(message)
    with keeping(written):
        draft = NewVersion(name, written) if text is not None else from_text(written, name)
        version = registry.register_prompts([replace(draft, commit_message=message or draft.commit_message)])[0]
    if alias:
        registry.set_prompt_alias(name, alias, version.version)
    said = f"; {name}@{alias} serves it" if alias else f"; next: prompt-registry promote {name}"
    tell(f"{name} is registered as version {version.version}{said}", version, as_json, alias=alias)
