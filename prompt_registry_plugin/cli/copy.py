"""`prompt-registry copy`."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.settings import json_option, say


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_option
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy a whole registry, with its history, traces and runs, from one URL into an empty one."""
    from prompt_registry_plugin.cli.settings import check_exists
    from prompt_registry_plugin.transfer.archive import copy_registry

    check_exists(source)
    from prompt_registry_plugin.registry.current import open_registry

    with open_registry(source) as old, open_registry(target) as new:
        count = copy_registry(old, new)
        say(f"{count} rows copied to {new.place}", {"rows": count, "to": new.place}, as_json)
