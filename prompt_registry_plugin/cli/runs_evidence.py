"""Commands about the evidence for a run's winner: continue its test, register it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option
from prompt_registry_plugin.errors import UntrustedRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_registry_plugin.prompts.version import PromptVersion

R = TypeVar("R")


@click.command("prove")
@click.argument("run_id")
@click.option(
    "--data", help="A .jsonl, .csv or .parquet file of new rows, or datasets:/NAME. Without it: held-out rows that are left."
)
@click.option("--budget", type=click.IntRange(min=2), help="Rollouts at most, two for each row.")
@click.option("--trust", is_flag=True, help="Call the code that an imported run names.")
@json_option
@registry_option
def prove(run_id: str, data: str | None, budget: int | None, trust: bool, as_json: bool) -> None:
    """Continue the held-out test with more rows.

    Runs baseline and winner on rows that the run has not used, until the gain or a loss is proven. You can repeat it with other rows:
    the test stays valid. A likely gain is registered as @candidate, a proven one without an alias.

    \b
    prompt-registry runs prove 20261125-4fa01c --data more.jsonl --budget 200
    """
    from prompt_registry_plugin.cli.display import print_json
    from prompt_registry_plugin.optimize.proving import prove_run

    open_existing()
    done = ask_trust(run_id, "The test", trust, lambda trusted: prove_run(run_id, data, budget=budget, trust=trusted))
    if as_json:
        print_json({"run": run_id, **_data(done.registered, done.because), **done.evidence.to_json(), "skipped": done.skipped})
        return
    if done.skipped:
        echo(f"{done.skipped} rows were not run: the search or the test has used their inputs already", err=True)
    show_registered(run_id, done.registered, done.because)


@click.command("register")
@click.argument("run_id")
@click.option("--alias", help="Also point this alias at the new versions.")
@json_option
@registry_option
def register(run_id: str, alias: str | None, as_json: bool) -> None:
    """Register a run's winner, whatever its grade.

    For a winner that was kept since its gain is not proven. The new versions are tagged with the evidence. No alias moves without
    --alias, except that a likely winner becomes @candidate.

    \b
    prompt-registry runs register 20261125-4fa01c
    """
    from prompt_registry_plugin.cli.display import print_json
    from prompt_registry_plugin.optimize.proving import register_run

    open_existing()
    versions, because = register_run(run_id, alias)
    if as_json:
        print_json({"run": run_id, **_data(versions, because)})
        return
    show_registered(run_id, versions, because)


def _data(versions: Sequence[PromptVersion], because: str) -> dict[str, Any]:
    return {"registered": [version.uri for version in versions], "because": because}


def ask_trust(run_id: str, what: str, trust: bool, call: Callable[[bool], R]) -> R:
    """Return what `call` returns, which asks first if an imported run names code. Without a terminal, raises `UntrustedRun`."""
    try:
        return call(trust)
    except UntrustedRun as error:
        if not sys.stdin.isatty():
            raise
        echo(f"Run {run_id} was imported. {what} calls the code that it names:", err=True)
        for reference in error.references:
            echo(f"  {reference}", err=True)
        click.confirm("Call it?", abort=True, err=True)
        return call(True)


def show_registered(run_id: str, versions: Sequence[PromptVersion], because: str) -> None:
    """Print what became of a run, and how its versions are promoted."""
    echo(because)
    for version in versions:
        echo(f"registered {version.uri}")
    if versions:
        echo(f"promote with: prompt-registry runs promote {run_id}, and --unproven as long as the gain is not proven")
