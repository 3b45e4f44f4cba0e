"""`prompt-registry import`."""

from __future__ import annotations

from pathlib import Path

import click

from prompt_registry_plugin.cli.settings import json_option, registry_option, say
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.plugins import default_plugin_manager
from prompt_registry_plugin.registry.current import current_registry


@click.command("import")
@click.argument("format_name", metavar="FORMAT")
@click.argument("source")
@json_option
@registry_option
def import_(format_name: str, source: str, as_json: bool) -> None:
    """Import prompts from another tool, or a whole export.

    FORMAT is jsonl (an export, into an empty registry), mlflow (its SQLite file or a server's address), langfuse (JSON), langsmith
    (a manifest), promptfoo (YAML), prompty or dotprompt (a file or folder), openai (JSON of responses made with prompt=), or what a
    plugin brings. Importing again adds only what is new.
    """
    from prompt_registry_plugin.transfer.archive import import_prompts, read_prompts, restore_registry

    if format_name == "jsonl":
        if not Path(source).is_file():
            raise UserError(f"there is no file {source}")
        count = restore_registry(current_registry(), Path(source))
        say(f"{count} rows restored", {"rows": count}, as_json)
        return
    found = read_prompts(default_plugin_manager(), source, format_name)  # before a registry is made for nothing
    versions = import_prompts(current_registry(), found, reason=f"imported from {format_name}")
    names = sorted({version.name for version in versions})
    said = f"{len(versions)} new versions of {len(names)} prompts" + (f": {', '.join(names[:10])}" if names else "")
    say(said + (" …" if len(names) > 10 else ""), {"versions": [version.uri for version in versions]}, as_json)
