"""The coverage table in the terminal, and what to do about its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import open_existing
from prompt_registry_plugin.errors import UserError

if TYPE_CHECKING:
    from prompt_registry_plugin.records import CoverageRow
    from prompt_registry_plugin.registry.registry import PromptRegistry


def show_status(as_json: bool) -> None:
    """Print the adopted prompts with the version that each serves, and the coverage table of the newest trace."""
    from prompt_registry_plugin.cli.display import print_json, print_table

    registry = open_existing()
    bound: dict[tuple[str, str], list[str]] = {}
    for name, alias in registry.loader.bindings().values():
        bound.setdefault((name, alias), [])
    bindings = registry.loader.adopted_texts().bindings
    names = {binding.text_hash: binding.name for binding in bindings}
    for binding in bindings:
        text_hash, _, variable = binding.place.rpartition(".")
        place = f"{{{{{variable}}}}} of {names.get(text_hash, 'a template')}" if binding.detail.get("nested") else binding.place
        bound.setdefault((binding.name, binding.alias), []).append(place)
    adopted = [
        (name, alias, _version(registry, name, alias), sorted({place for place in places if place}))
        for (name, alias), places in sorted(bound.items())
    ]
    newest = registry.store.traces.newest(1) if registry.keeps_traces else []
    trace = registry.store.traces.get(newest[0].id) if newest else None
    if as_json:
        covered = coverage_json(registry.coverage(trace)) if trace else []
        adopted_json = [dict(zip(("name", "alias", "version", "places"), row, strict=True)) for row in adopted]
        print_json({"adopted": adopted_json, "problems": registry.loader.adopted_texts().problems, "newest": covered})
        return
    cells = [(name, alias, str(version or "none"), ", ".join(places)) for name, alias, version, places in adopted]
    print_table(("adopted prompt", "alias", "serves version", "places"), cells)
    for problem in registry.loader.adopted_texts().problems:
        echo(problem)
    if trace is not None:
        show_coverage(trace.id, registry.coverage(trace), as_json)


def _version(registry: PromptRegistry, name: str, alias: str) -> int | None:
    try:
        return registry.load_source(f"prompts:/{name}@{alias}").version
    except UserError:
        return None


def coverage_json(rows: Sequence[CoverageRow]) -> list[dict[str, Any]]:
    """Return a coverage table as JSON data."""
    return [{name: getattr(row, name) for name in row.__slots__} for row in rows]


def show_coverage(trace_id: str, rows: Sequence[CoverageRow], as_json: bool, extra: Mapping[str, Any] | None = None) -> None:
    """Print a coverage table, with what to do about rows that were not adopted."""
    from prompt_registry_plugin.cli.display import print_coverage, print_json

    if as_json:
        print_json({"trace": trace_id, **(extra or {}), "prompts": coverage_json(rows)})
        return
    print_coverage(rows, f"trace {trace_id}")
    for line in advice(trace_id, rows):
        echo(line)


def advice(trace_id: str, rows: Sequence[CoverageRow]) -> list[str]:
    """Return what to do about the rows of a coverage table, as command lines."""
    lines = []
    short = trace_id[:8]
    if any(row.state == "adoptable" and "with another text" not in row.detail and row.role != "description" for row in rows):
        lines.append(f"Adopt them: prompt-registry adopt {short}")
    if any(row.state == "adoptable" and row.role == "description" for row in rows):
        lines.append(f"Adopt descriptions too: prompt-registry adopt {short} --descriptions")
    changed = next((row for row in rows if row.state == "adoptable" and "with another text" in row.detail), None)
    if changed is not None:
        lines.append(f"Adopt it as the next version: prompt-registry adopt {short} --name {changed.name}={changed.name}")
    named = next((row for row in rows if row.state == "not adoptable" and row.template is not None), None)
    if named is not None:
        lines.append(f"Adopt it by name: prompt-registry adopt {short} --name {named.name}={named.name}")
    return lines
