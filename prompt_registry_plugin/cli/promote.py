"""The command that points an alias at a version."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import force_option, json_option, open_existing, registry_option, say
from prompt_registry_plugin.uri import as_uri


@click.command()
@click.argument("reference", metavar="NAME[/VERSION]", shell_complete=complete_prompts)
@click.option("--alias", default="production", show_default=True, help="The alias to move.")
@click.option("--reason", help="Why; kept in the history.")
@force_option
@json_option
@registry_option
def promote(reference: str, alias: str, reason: str | None, force: bool, as_json: bool) -> None:
    """Point an alias at a version (the newest, when none is named)."""
    registry = open_existing()
    version = registry.load_prompt(as_uri(reference))
    already = "already " if alias in version.aliases else ""
    registry.set_prompt_alias(version.name, alias, version.version, reason=reason, force=force)
    data = {"name": version.name, "alias": alias, "version": version.version}
    say(f"{version.name}@{alias} is {already}version {version.version}", data, as_json)
