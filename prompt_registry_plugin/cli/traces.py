"""Commands about stored traces: list, show, export."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prompt_registry_plugin.cli.coverage import coverage_json
from prompt_registry_plugin.cli.echo import data_stream
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say
from prompt_registry_plugin.errors import StoreUnavailable, UserError, did_you_mean
from prompt_registry_plugin.masking.controls import escape_json

if TYPE_CHECKING:
    from prompt_registry_plugin.registry.registry import PromptRegistry
    from prompt_registry_plugin.tracing.trace import Trace


@click.group()
def traces() -> None:
    """Look at recorded runs: which prompts were rendered, and what models answered."""


def find_trace(registry: PromptRegistry, trace_id: str) -> Trace:
    """Return the stored trace whose id begins with `trace_id`, or the newest for `last`. Raises `UserError`."""
    stored = registry.store.traces
    known = [trace.id for trace in stored.newest(100_000)]
    matching = known[:1] if trace_id == "last" else [known_id for known_id in known if known_id.startswith(trace_id)]
    trace = stored.get(matching[0]) if len(matching) == 1 else None
    if trace is None:
        raise UserError(f"{len(matching) or 'no'} traces begin with {trace_id!r}{did_you_mean(trace_id, known)}")
    return trace


@traces.command("list")
@click.option("--max", "limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="At most so many.")
@json_option
@registry_option
def list_traces(limit: int, as_json: bool) -> None:
    """List the stored traces, newest first."""
    from prompt_registry_plugin.cli.display import print_json, print_table

    found = open_existing().store.traces.newest(limit)
    if as_json:
        print_json([{name: getattr(trace, name) for name in trace.__slots__} for trace in found])
        return
    rows = [
        (trace.id, trace.name, f"{datetime.fromtimestamp(trace.started_at, UTC):%Y-%m-%d %H:%M:%S}", f"{trace.seconds:.2f} s",
         str(trace.spans), str(trace.errors or ""))
        for trace in found
    ]  # fmt: skip
    print_table(("trace", "name", "began", "took", "spans", "errors"), rows)


@traces.command()
@click.argument("trace_id", metavar="TRACE")
@json_option
@registry_option
def show(trace_id: str, as_json: bool) -> None:
    """Show a trace as a tree, with its coverage table; the first characters of its id are enough, and `last` is the newest."""
    from prompt_registry_plugin.cli.display import console, print_coverage, print_json, trace_tree
    from prompt_registry_plugin.tracing.trace import to_json

    registry = open_existing()
    trace = find_trace(registry, trace_id)
    rows = registry.coverage(trace)
    if as_json:
        print_json({**to_json(trace), "prompts": coverage_json(rows)})
        return
    console().print(trace_tree(trace))
    if rows:
        print_coverage(rows)


@traces.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--max", "limit", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="At most so many.")
@json_option
@registry_option
def export(file: Path, limit: int, as_json: bool) -> None:
    """Write traces to FILE as JSON Lines, one trace a line, newest first; `-` is standard output."""
    from prompt_registry_plugin.tracing.trace import to_json

    stored = open_existing().store.traces
    count = 0
    try:
        out = data_stream() if str(file) == "-" else file.open("w", encoding="utf-8")
        for summary in stored.newest(limit):
            trace = stored.get(summary.id)
            if trace is not None:
                out.write(escape_json(json.dumps(to_json(trace), ensure_ascii=False)) + "\n")
                count += 1
        if out is not sys.stdout:
            out.close()
    except OSError as error:
        raise StoreUnavailable(f"cannot write {file}: {error}") from error
    if str(file) != "-":
        say(f"{count} traces written to {file}", {"traces": count, "file": str(file)}, as_json)
