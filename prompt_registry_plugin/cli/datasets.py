"""Commands about data sets: list, show, add."""

from __future__ import annotations

import json
from typing import Any

import click

from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say
from prompt_registry_plugin.errors import UserError


@click.group()
def datasets() -> None:
    """Look at data sets, and add rows to them."""


@datasets.command("list")
@json_option
@registry_option
def list_(as_json: bool) -> None:
    """List the data sets, each with its newest version."""
    from prompt_registry_plugin.cli.display import print_json, print_table

    found = open_existing().store.datasets.newest()
    if as_json:
        print_json([{name: getattr(summary, name) for name in summary.__slots__} for summary in found])
        return
    rows = [
        (s.name, str(s.version), str(s.rows), f"{s.created_at:%Y-%m-%d %H:%M} by {s.created_by}", s.commit_message or "")
        for s in found
    ]
    print_table(("data set", "version", "rows", "created", "message"), rows)


@datasets.command()
@click.argument("name")
@click.option("--max", "limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many rows; JSON has all.")
@json_option
@registry_option
def show(name: str, limit: int, as_json: bool) -> None:
    """Show the rows of NAME, or of one version as datasets:/NAME/3."""
    from prompt_registry_plugin.cli.display import print_json, print_table
    from prompt_registry_plugin.registry.functions import load_dataset

    open_existing()
    dataset = load_dataset(name)
    rows = [{"inputs": dict(e.inputs), "expectations": dict(e.expectations)} for e in dataset]
    if as_json:
        print_json({"uri": dataset.uri, "rows": rows})
        return
    shown = [
        tuple(json.dumps(row[side], ensure_ascii=False)[:160] for side in ("inputs", "expectations")) for row in rows[:limit]
    ]
    print_table(("inputs", "expectations"), shown, title=f"{dataset.uri}: {len(rows)} rows")


@datasets.command()
@click.argument("name")
@click.argument("file")
@click.option("--replace", is_flag=True, help="The rows of FILE and no others; else they are added to those that are there.")
@click.option("--message", help="Why.")
@json_option
@registry_option
def add(name: str, file: str, replace: bool, message: str | None, as_json: bool) -> None:
    """Write the next version of NAME with the rows of FILE (.jsonl, .csv or .parquet). The same rows make no version."""
    from prompt_registry_plugin.registry.functions import merge_records, register_dataset

    dataset = (register_dataset if replace else merge_records)(name, file, commit_message=message)
    say(f"{dataset.uri} has {len(dataset)} rows", {"uri": dataset.uri, "rows": len(dataset)}, as_json)


@datasets.command("from-traces")
@click.argument("name")
@click.option("--name", "trace_name", help="Use traces of this name only.")
@click.option("--prompt", help="Use traces that rendered this prompt only, or this version of it (prompts:/NAME/3).")
@click.option("--only", type=click.Choice(["accepted", "reviewed", "corrected"]), default="accepted", show_default=True,
              help="Answers to use: all that were not rejected, those with feedback, or those with a correction.")  # fmt: skip
@click.option(
    "--max", "limit", type=click.IntRange(1), default=1000, show_default=True, help="Use at most N of the newest traces."
)
@json_option
@registry_option
def from_traces(name: str, trace_name: str | None, prompt: str | None, only: Any, limit: int, as_json: bool) -> None:
    """Add rows from recorded traces.

    Writes the next version of NAME with a row for each trace: what went into the agent, and its answer or the correction.

    \b
    Example: prompt-registry datasets from-traces support --prompt support --only reviewed
    """
    from prompt_registry_plugin.datasets.dataset import Dataset
    from prompt_registry_plugin.registry.functions import merge_records, search_traces
    from prompt_registry_plugin.uri import as_uri

    open_existing()
    if prompt and ("@" in prompt or prompt.rpartition("/")[2].isdigit()):
        prompt = as_uri(prompt)
    found = search_traces(name=trace_name, prompt=prompt, max_results=limit)
    if not found:
        wanted = " and ".join(filter(None, (trace_name and f"the name {trace_name!r}", prompt and f"the prompt {prompt!r}")))
        raise UserError(f"there is no trace{' with ' + wanted if wanted else ''}; `prompt-registry traces list` has them all")
    rows = Dataset.from_traces(found, only=only)
    dataset = merge_records(name, rows, commit_message=f"from {len(found)} traces")
    told = {"uri": dataset.uri, "rows": len(dataset), "traces": len(found), "used": len(rows)}
    say(f"{dataset.uri} has {len(dataset)} rows; {len(rows)} of them from {len(found)} traces", told, as_json)
