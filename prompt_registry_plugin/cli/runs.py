"""Commands about optimization runs: list, show, resume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.runs_evidence import ask_trust, prove, register, show_registered
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, writable
from prompt_registry_plugin.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from prompt_registry_plugin.optimize.engine.run_config import RunConfig
    from prompt_registry_plugin.protocols import RunRecord
    from prompt_registry_plugin.registry.registry import PromptRegistry

_PROMOTED = ("proven", "–")  # grades with which an alias moves unasked; runs of before there were grades have none


@click.group()
@registry_option
def runs() -> None:
    """Follow and resume optimization runs."""


runs.add_command(prove)
runs.add_command(register)


@runs.command("list")
@json_option
@registry_option
def list_runs(as_json: bool) -> None:
    """List the runs, newest first."""
    from prompt_registry_plugin.cli.display import print_json, print_table
    from prompt_registry_plugin.optimize.engine.run_config import RunConfig
    from prompt_registry_plugin.optimize.engine.state import UNFINISHED, resume_advice, state_of

    registry = open_existing()
    found = registry.store.runs.newest()
    if as_json:
        print_json([_data(run) for run in found])
        return
    configs = [RunConfig.from_json(run.config) for run in found]
    rows = [
        (run.id, state_of(run), f"{run.rollouts} of {config.budget}", _names(config), _gain(run), _grade(run))
        for run, config in zip(found, configs, strict=True)
    ]
    print_table(("run", "state", "rollouts", "prompts", "held-out", "grade"), rows)
    for run, config in zip(found, configs, strict=True):
        if (state := state_of(run)) in UNFINISHED:
            why = " (its process is gone)" if state == "stopped" else ""
            echo(f"{run.id} is {state}{why}. {resume_advice(run.id, config, registry)}")


@runs.command("show")
@click.argument("run_id")
@click.option("--edits", is_flag=True, help="With each edit's diff and the failures that caused it.")
@click.option(
    "--html", type=click.Path(dir_okay=False), callback=writable, help="Write all of it to one HTML file, which loads nothing."
)
@click.option("--svg", type=click.Path(dir_okay=False), callback=writable, help="Write the score over rollouts as a picture.")
@json_option
@registry_option
def show_run(run_id: str, edits: bool, html: str | None, svg: str | None, as_json: bool) -> None:
    """Show a run: its settings, what came of it, and the tree of candidates with the reason each was kept or dropped."""
    from prompt_registry_plugin.cli.display import print_json
    from prompt_registry_plugin.cli.run_report import print_report, report_data
    from prompt_registry_plugin.optimize.report import report_of

    registry = open_existing()
    run = _run(registry, run_id)
    report = report_of(registry.store.runs, run)
    for path, content in ((html, report.html), (svg, report.chart)):
        if path is not None:
            Path(path).write_text(content(), encoding="utf-8")
            echo(f"wrote {path}", err=True)
    if as_json:
        print_json({**_data(run), "candidates": [step.to_json() for step in report.steps], **report_data(report)})
    elif not html and not svg:
        print_report(report, registry, edits=edits)


@runs.command("promote")
@click.argument("run_id")
@click.option("--alias", default="production", show_default=True, help="The alias to move.")
@click.option("--unproven", is_flag=True, help="Move it though the gain is not proven.")
@json_option
@registry_option
def promote_run(run_id: str, alias: str, unproven: bool, as_json: bool) -> None:
    """Point an alias at everything that a run registered: prompts that were improved together move together."""
    from prompt_registry_plugin.cli.display import print_json

    registry = open_existing()
    uris = (_run(registry, run_id).result or {}).get("registered", [])
    if not uris:
        raise UserError(
            f"run {run_id} registered nothing; `prompt-registry runs show {run_id}` says why, and `prompt-registry runs register {run_id}` "
            "registers its winner all the same"
        )
    grade = _grade(_run(registry, run_id))
    if grade not in _PROMOTED and not unproven:
        raise UserError(
            f"the gain of run {run_id} is not proven ({grade}), so {alias} stays where it is; `prompt-registry runs prove {run_id} "
            "--data more.jsonl` goes on with the test, and --unproven moves the alias all the same"
        )
    versions = [registry.load_prompt(uri) for uri in uris]
    for version in versions:
        registry.set_prompt_alias(version.name, alias, version.version, reason=f"optimization run {run_id}")
    if as_json:
        print_json([{"name": version.name, "alias": alias, "version": version.version} for version in versions])
    for version in versions if not as_json else ():
        echo(f"{version.name}@{alias} is version {version.version}")
    if grade not in _PROMOTED:
        echo(f"the gain of this run is not proven: {grade}", err=True)


@runs.command()
@click.argument("run_id")
@click.option("--trust", is_flag=True, help="Call the code that an imported run names.")
@json_option
@registry_option
def resume(run_id: str, trust: bool, as_json: bool) -> None:
    """Go on with an interrupted or killed run; no rollout is paid for twice."""
    from prompt_registry_plugin.cli.display import print_json
    from prompt_registry_plugin.optimize.optimize import resume_run

    registry = open_existing()
    _run(registry, run_id)
    result = ask_trust(run_id, "A resume", trust, lambda trusted: resume_run(run_id, trust=trusted))
    if as_json:
        print_json(_data(_run(registry, run_id)))
        return
    show_registered(run_id, result.optimized_prompts, result.registered_because)


def _run(registry: PromptRegistry, run_id: str) -> RunRecord:
    run = registry.store.runs.get(run_id)
    if run is None:
        raise UserError(
            f"No optimization run {run_id!r} in {registry.place}{did_you_mean(run_id, [r.id for r in registry.store.runs.newest()])}"
        )
    return run


def _names(config: RunConfig) -> str:
    return ", ".join(uri.removeprefix("prompts:/") for uri in config.prompts)


def _gain(run: RunRecord) -> str:
    result = run.result or {}
    if result.get("final_eval_score") is None:
        return "–"
    low, high = result["difference"][1:]
    interval = "" if low is None else f" [{low:+.3f}, {high:+.3f}]"
    return f"{result['initial_eval_score']:.3f} → {result['final_eval_score']:.3f}, {result['difference'][0]:+.3f}{interval}"


def _grade(run: RunRecord) -> str:
    from prompt_registry_plugin.evaluation.grades import probability
    from prompt_registry_plugin.optimize.engine.evidence import stored_evidence

    evidence = stored_evidence(run.result)
    if evidence is None:
        return "–"
    odds = f" ({probability(evidence.p_better)})" if evidence.grade in ("likely", "open") else ""
    return f"{evidence.grade}{odds}"


def _data(run: RunRecord) -> dict[str, Any]:
    from prompt_registry_plugin.optimize.engine.state import state_of

    return {
        "id": run.id, "status": state_of(run), "created_at": run.created_at, "updated_at": run.updated_at, "config": run.config,
        "rollouts": run.rollouts, "result": run.result, "error": run.error,
    }  # fmt: skip
