"""The command that shows, sets and deletes tags."""

from __future__ import annotations

import click

from prompt_registry_plugin import uri
from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say
from prompt_registry_plugin.errors import UserError


@click.command()
@click.argument("reference", metavar="NAME[@ALIAS|/VERSION]", shell_complete=complete_prompts)
@click.argument("tags", metavar="KEY=VALUE…", nargs=-1)
@click.option("--delete", "deleted", metavar="KEY", multiple=True, help="Delete a tag; may be repeated.")
@json_option
@registry_option
def tag(reference: str, tags: tuple[str, ...], deleted: tuple[str, ...], as_json: bool) -> None:
    """Show, set or delete tags.

    NAME alone means the prompt as a whole; with a version or an alias, the tags are those of that version.

    \b
      prompt-registry tag support team=care
      prompt-registry tag support/3 reviewed=yes --delete draft
    """
    registry = open_existing()
    named = uri.parse(uri.as_uri(reference))
    version = registry.load_source(uri.as_uri(reference))
    whole = named.version is None and named.alias is None and version.name == named.name
    number = None if whole else version.version
    pairs = [text.partition("=") for text in tags]
    if wrong := [text for text, pair in zip(tags, pairs, strict=True) if not pair[1] or not pair[0]]:
        raise UserError(f"a tag is written KEY=VALUE, not {wrong[0]!r}")
    for key, _, value in pairs:
        if number is None:
            registry.set_prompt_tag(version.name, key, value)
        else:
            registry.set_prompt_version_tag(version.name, number, key, value)
    for key in deleted:
        if number is None:
            registry.delete_prompt_tag(version.name, key)
        else:
            registry.delete_prompt_version_tag(version.name, number, key)
    holder = registry.loader.find_prompt(version.name) if number is None else registry.load_source(version.name, number)
    found = dict(holder.tags) if holder is not None else {}
    shown = ", ".join(f"{key}={value}" for key, value in found.items()) or "no tags"
    what = version.name if number is None else f"{version.name}/{number}"
    say(f"{what}: {shown}", {"name": version.name, "version": number, "tags": found}, as_json)
