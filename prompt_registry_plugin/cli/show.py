"""The command that shows a version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option
from prompt_registry_plugin.uri import as_uri

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts.version import PromptVersion


@click.command()
@click.argument("reference", metavar="NAME[@ALIAS|/VERSION]", shell_complete=complete_prompts)
@click.option("--source", is_flag=True, help="As it is written: includes are not put in.")
@json_option
@registry_option
def show(reference: str, source: bool, as_json: bool) -> None:
    """Show one version of a prompt.

    NAME alone means the newest version; a prompts:/ URI works too.

    \b
      prompt-registry show support@production
    """
    from prompt_registry_plugin.cli.display import console, print_json, version_panel

    registry = open_existing()
    version = (registry.load_source if source else registry.load_prompt)(as_uri(reference))
    if as_json:
        print_json(version_data(version))
    else:
        console().print(version_panel(version))


def version_data(version: PromptVersion) -> dict[str, Any]:
    """A version as JSON data."""
    from prompt_registry_plugin.cli.display import variables_of

    return {
        "name": version.name, "version": version.version, "uri": version.uri, "template": version.template,
        "template_format": version.template_format, "variables": variables_of(version),
        "variable_schemas": version.variable_schemas, "source": version.source, "includes": list(version.includes),
        "aliases": list(version.aliases), "tags": version.tags, "commit_message": version.commit_message,
        "response_format": version.response_format, "model_config": version.model_config, "tools": version.tools,
        "parent": version.parent, "run_id": version.run_id, "created_at": version.created_at, "created_by": version.created_by,
        "content_hash": version.content_hash, "served_from": version.served_from,
    }  # fmt: skip
