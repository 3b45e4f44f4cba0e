"""The command that adopts the prompts of a stored trace."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.coverage import show_coverage
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option


def _names(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    if wrong := next((old for old, sign, new in pairs if not (sign and old and new)), None):
        raise click.BadParameter(f"{wrong!r} is not OLD=NEW, such as agent/instructions=support")
    return {old: new for old, _, new in pairs}


@click.command()
@click.argument("trace_id", metavar="TRACE")
@click.option("--name", "names", multiple=True, metavar="OLD=NEW", callback=_names, help="Adopt prompt OLD of the table as NEW.")
@click.option("--skip", "skipped", multiple=True, metavar="NAME", help="Leave a prompt of the table alone.")
@click.option("--alias", default="production", show_default=True, help="Alias that the agent is served.")
@click.option("--descriptions", is_flag=True, help="Adopt descriptions of tools, handoffs and outputs too.")
@json_option
@registry_option
def adopt(trace_id: str, names: dict[str, str], skipped: tuple[str, ...], alias: str, descriptions: bool, as_json: bool) -> None:
    """Adopt the prompts of a trace.

    Registers the prompts that a recorded trace found in the code, and serves them from then on. TRACE is the beginning of an id, or `last`.
    The program does not have to run. Shows which prompts were adopted, and why others were not.

    \b
      prompt-registry run --record agent.py
      prompt-registry adopt last --name agent/instructions=support --skip agent/greeting
    """
    from prompt_registry_plugin.cli.traces import find_trace

    registry = open_existing()
    trace = find_trace(registry, trace_id)
    chosen: dict[str, str | None] = {**names, **dict.fromkeys(skipped)}
    adopted = registry.adopt(trace, names=chosen, alias=alias, descriptions=descriptions, taken="report")
    show_coverage(trace.id, adopted.coverage, as_json)
