"""The command that carries a configuration file out."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import adapters_of, json_option, registry_option, registry_to_look_at
from prompt_registry_plugin.errors import UserError


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dry-run", is_flag=True, help="Say what would be registered, and what it would spend at most; write nothing.")
@click.option(
    "--optimize", "optimizations", multiple=True, metavar="NAME", help="Run this optimization too; `all` runs every one."
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of such files, for editors.")
@json_option
@registry_option
def apply(file: Path | None, dry_run: bool, optimizations: tuple[str, ...], schema: bool, as_json: bool) -> None:
    """Register what a configuration FILE names: prompts with their default templates, and data sets. What is there is kept.

    Optimizations cost money, and are run when they are named. The adapters of the frameworks that they use are enabled, as `run` does.
    """
    from prompt_registry_plugin.cli.display import print_json, print_table
    from prompt_registry_plugin.config.apply import apply as carry_out
    from prompt_registry_plugin.config.apply import as_json as data_of
    from prompt_registry_plugin.config.apply import plan
    from prompt_registry_plugin.config.models import AppConfig

    if schema:
        echo(json.dumps(AppConfig.json_schema(), indent=2))
        return
    if file is None:
        raise UserError("name the file: prompt-registry apply config.yaml")
    config = AppConfig.from_file(file)
    with registry_to_look_at() if dry_run else adapters_of() if optimizations else nullcontext():
        steps = (plan if dry_run else carry_out)(config, optimizations)
    if as_json:
        print_json({"file": str(file), "dry_run": dry_run, "steps": data_of(steps)})
        return
    if not steps:
        echo(f"{file} names no prompts, data sets or optimizations")
        return
    said = {"register": "registered", "keep": "kept", "set": "set", "optimize": "run", "leave": "not run: --optimize"}
    would = {"register": "would be registered", "set": "would be set", "optimize": "would be run"} if dry_run else {}
    rows = [(step.kind, step.name, would.get(step.action, said[step.action]), step.detail) for step in steps]
    print_table(("what", "name", "state", "detail"), rows)
