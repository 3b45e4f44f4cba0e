"""`prompt-registry plugins`."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.settings import json_option


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the plugins, and why any were skipped."""
    from prompt_registry_plugin.cli.display import print_json, print_table
    from prompt_registry_plugin.plugins import default_plugin_manager

    infos = default_plugin_manager().infos
    if as_json:
        print_json([{"name": info.name, "origin": info.origin, "skipped": info.skipped} for info in infos])
        return
    rows = [(info.name, info.origin, f"skipped: {info.skipped}" if info.skipped else "in use") for info in infos]
    print_table(("plugin", "from", "state"), rows)
