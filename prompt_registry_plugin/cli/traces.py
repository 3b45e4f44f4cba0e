"""Commands about stored traces: list, show, export."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
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
    if (exact := stored.get(trace_id)) is not None:
        return exact
    known = [trace.id for trace in stored.newest(1 if trace_id == "last" else 100_000)]
    matching = known if trace_id == "last" else [known_id for known_id in known if known_id.startswith(trace_id)]
    trace = stored.get(matching[0]) if len(matching) == 1 else None
    if trace is not None:
        return trace
    if trace_id == "last":
        raise UserError("there are no traces yet: record a run with `prompt-registry run --record` or pr.record()")
    if matching:
        raise UserError(
            f"{len(matching)} traces begin with {trace_id!r}: {', '.join(short_ids(matching)[:5])}; write more of the id"
        )
    raise UserError(
        f"no trace begins with {trace_id!r}{did_you_mean(trace_id, known)}; `prompt-registry traces list` has them, `last` is the newest"
    )


@traces.command("list")
@click.option("--max", "limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Show at most N traces.")
@json_option
@registry_option
def list_traces(limit: int, as_json: bool) -> None:
    """List the stored traces, newest first.

    An id is as long as it has to be to be told from the others; every command takes it.
    """
    from prompt_registry_plugin.cli.display import console, make_table, print_json, print_paged

    found = open_existing().store.traces.newest(limit)
    if as_json:
        print_json([{name: getattr(trace, name) for name in trace.__slots__} for trace in found])
        return
    ids = short_ids([trace.id for trace in found])
    width = console(100).width
    form = "%m-%d %H:%M" if width < 60 else "%Y-%m-%d %H:%M:%S"
    rows = [
        (short, f"{datetime.fromtimestamp(trace.started_at, UTC):{form}}", f"{trace.seconds:.2f} s", str(trace.spans),
         str(trace.errors or ""), trace.name)
        for short, trace in zip(ids, found, strict=True)
    ]  # fmt: skip
    headings = ("trace", "began (UTC)", "took", "spans", "errors", "name")
    chosen = (0, 1, 5) if width < 60 else range(6)
    table = make_table([headings[i] for i in chosen], [[row[i] for i in chosen] for row in rows], whole=len(chosen) - 1)
    print_paged(table)


def _halves(registry: PromptRegistry, trace: Trace) -> list[str]:
    """Return which traces hold the other halves of an interrupted run, each as a line."""
    from prompt_registry_plugin.registry.interrupted import find_first_half, find_second_half, is_interrupted

    stored = registry.store.traces
    lines = []
    if before := find_first_half(stored, trace):
        lines.append(f"continues {before.id[:8]} ({before.name})")
    if after := find_second_half(stored, trace):
        lines.append(f"continued by {after.id[:8]} ({after.name})")
    elif is_interrupted(trace):
        lines.append("interrupted, not continued yet")
    return lines


def short_ids(ids: Sequence[str]) -> list[str]:
    """Return ids cut to what tells them apart, and to 8 characters at least."""
    order = sorted(set(ids))
    length = {}
    for before, each, after in zip(["", *order], order, [*order[1:], ""], strict=False):
        common = max(_common(each, before), _common(each, after))
        length[each] = max(8, common + 1)
    return [each[: length[each]] for each in ids]


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@traces.command()
@click.argument("trace_id", metavar="TRACE")
@click.option("--full", is_flag=True, help="Show every step, message and text, whole.")
@click.option("--prompts", "with_prompts", is_flag=True, help="Show prompts whole, and the coverage table.")
@json_option
@registry_option
def show(trace_id: str, full: bool, with_prompts: bool, as_json: bool) -> None:
    """Show a trace as a tree.

    Shows what is new in each model call, tools with arguments and results, handoffs, and the turns of a conversation. TRACE is the
    beginning of an id, or `last` for the newest trace.

    \b
    Example: prompt-registry traces show last --full
    """
    from prompt_registry_plugin.cli.display import console, print_coverage, print_json, print_paged
    from prompt_registry_plugin.cli.trace_view import View, prompt_lines, trace_tree
    from prompt_registry_plugin.tracing.trace import to_json

    registry = open_existing()
    trace = find_trace(registry, trace_id)
    rows = registry.coverage(trace)
    if as_json:
        print_json({**to_json(trace), "prompts": coverage_json(rows)})
        return
    tree = trace_tree(trace, View(full, with_prompts, console(100).width))
    for half in _halves(registry, trace):
        tree.add(half)
    if not with_prompts:
        print_paged(tree, *prompt_lines(rows))
        return
    print_paged(tree)
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
