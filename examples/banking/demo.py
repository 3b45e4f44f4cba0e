"""The main job, end to end: an unmodified workflow's prompts are found, traced, improved together, and promoted.

python -m examples.banking.demo                       with the simulated model, no key needed
python -m examples.banking.demo --model openai:gpt-…  with a real one (OPENAI_API_KEY, and OPENAI_BASE_URL for another server)
python -m examples.banking.demo --resume              goes on after Ctrl-C
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

import prompt_registry_plugin as pr
from examples.banking import workflow
from prompt_registry_plugin.cli.display import diff_panel, make_table, trace_tree, version_panel
from prompt_registry_plugin.evaluation.progress import live_progress
from prompt_registry_plugin.models.resolve import resolve_model

MESSAGE = "I made a transfer yesterday and it still has not arrived, what is going on?"
NAMES = ("banking/route", "banking/classify")
# Prices of a small hosted model, so that the table has a cost; with a real model, give its own.
PRICE = pr.records.Price(input=0.25, output=2.0)

# Where this environment's commands are, to be shown in hints.
BIN = os.path.relpath(Path(sys.executable).parent)

console = Console(highlight=False)


def main() -> None:
    """Runs the six steps and writes demo-report.json."""
    options = _arguments()
    os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{workflow.WORK / 'prompts.db'}"
    try:
        if not options.resume:
            _start_empty(options)
        before_promotion = _steps(options)
        _promote_and_roll_back(*before_promotion)
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is lost.")
        if pr.current_registry().store.runs.newest(1):
            console.print(f"Go on with  [bold]{BIN}/python -m examples.banking.demo --resume[/bold]", soft_wrap=True)
        else:
            console.print(
                f"The search had not begun; start again with  [bold]{BIN}/python -m examples.banking.demo[/bold]", soft_wrap=True
            )
        sys.exit(130)
    except pr.PromptRegistryError as error:
        console.print(Text(f"Error: {error}"))
        sys.exit(2 if isinstance(error, pr.UserError) else 1)


def _steps(options: argparse.Namespace) -> tuple[Any, Any]:
    settings = workflow.read_settings()
    name = f"{settings['model']}{' (simulated)' if settings['simulated'] else ''}"
    run_options = pr.RunOptions(concurrency=options.concurrency, seed=settings["seed"], prices={settings["model"]: PRICE})
    pr.enable("langgraph")
    if options.resume:
        runs = pr.current_registry().store.runs.newest()
        if not runs:
            raise pr.UserError("there is no run to resume; start the demo without --resume")
        _title(4, f"Going on with run {runs[0].id}")
        with live_progress() as show:
            result = pr.resume_run(runs[0].id, on_event=show)
        _show_proof(result)
        return result, name

    _title(1, f"Record one run of the untouched agent, with {name}")
    with pr.record("banking") as trace:
        workflow.predict(MESSAGE)
    console.print(trace_tree(trace))

    _title(2, "Adopt the prompts that were found")
    for version in pr.adopt(trace):
        console.print(version_panel(version))

    _title(3, "Evaluate the baseline on the 300 test messages")
    scorers = [workflow.department, workflow.intent]
    with live_progress() as show:
        baseline = pr.evaluate(
            predict_fn=workflow.predict, data=workflow.TEST, scorers=scorers, options=replace(run_options, on_event=show)
        )
    _show_evaluation(baseline, settings["simulated"])

    _title(4, f"Optimize both prompts together on the 240 training messages, {options.budget} rollouts at most")
    console.print("Ctrl-C stops it; it can be resumed.", style="dim")
    with live_progress() as show:
        result = pr.optimize_prompts(
            predict_fn=workflow.predict,
            train_data=workflow.TRAIN,
            eval_data=workflow.TEST,
            prompt_uris=[f"prompts:/{prompt}@production" for prompt in NAMES],
            scorers=scorers,
            reflection_model=settings["reflection"],
            budget=options.budget,
            options=replace(run_options, on_event=show),
        )
    _show_proof(result)
    return result, name


def _promote_and_roll_back(result: Any, model: str) -> None:
    _title(6, "Move the alias: the same agent, in the same process, answers with the new version")
    report = {"model": model, "run": result.run_id, "seed": workflow.read_settings()["seed"]}
    rows = []
    if any("production" in pr.load_prompt(v.uri).aliases for v in result.optimized_prompts):
        console.print("production points at the new versions already: this run was promoted before.")
    elif result.promotable:
        example = _changed_example(result)
        rows.append(("before", *_ask(example)))
        result.promote("production")
        rows.append(("promoted", *_ask(example)))
        for version in result.optimized_prompts:
            pr.rollback(version.name, "production", reason="demo: one call back")
        rows.append(("rolled back", *_ask(example)))
        result.promote("production")
        rows.append(("promoted again", *_ask(example)))
        console.print(Text(f"“{example}”", style="italic"))
        console.print(make_table(("state", "versions used", "department", "intent"), rows))
    else:
        console.print(f"Nothing to promote: {result.registered_because}")
    report |= _before_and_after(result)
    report["answers"] = [dict(zip(("state", "versions", "department", "intent"), row, strict=True)) for row in rows]
    with open("demo-report.json", "w") as file:
        json.dump(report, file, indent=2)
    console.print("The same figures are in demo-report.json. The registry is .demo/prompts.db; have a look:")
    console.print(
        f"  {BIN}/prompt-registry --registry sqlite:///.demo/prompts.db history banking/classify", style="bold", soft_wrap=True
    )


def _before_and_after(result: Any) -> dict[str, Any]:
    if result.held_out is None:
        return {"proven": False, "because": result.registered_because, "rollouts": result.rollouts}
    held_out = result.held_out
    rows = [("score", str(held_out.before.score), str(held_out.after.score))]
    rows += [
        (scorer, str(held_out.before.scores[scorer]), str(held_out.after.scores[scorer])) for scorer in held_out.before.scores
    ]
    rows.append(("seconds a message", f"{held_out.before.seconds.mean:.3f}", f"{held_out.after.seconds.mean:.3f}"))
    rows.append(("tokens a message", *(f"{_tokens(e):.0f}" for e in (held_out.before, held_out.after))))
    rows.append(("US$ per 1,000 messages", *(_dollars(e) for e in (held_out.before, held_out.after))))
    console.print(make_table(("held-out, 95 % interval", "before", "after"), rows, title="Before and after"))
    d = held_out.difference
    return {
        "before": {"score": held_out.before.score.mean, **{n: s.mean for n, s in held_out.before.scores.items()}},
        "after": {"score": held_out.after.score.mean, **{n: s.mean for n, s in held_out.after.scores.items()}},
        "difference": {"mean": d.mean, "low": d.low, "high": d.high, "p_value": held_out.paired.p_value},
        "grade": held_out.grade,
        "proven": held_out.proven,
        "search_score": result.search_score,
        "rollouts": result.rollouts,
        "held_out_rollouts": 2 * d.n,
    }


def _show_evaluation(result: Any, simulated: bool) -> None:
    rows = [(name, str(interval)) for name, interval in {"all": result.score, **result.scores}.items()]
    rows.append(("failed rollouts", str(len(result.failures))))
    rows.append(("seconds a message", str(result.seconds)))
    rows.append(("tokens a message", f"{_tokens(result):.0f}"))
    rows.append((f"US$ per 1,000 messages{' (if it were a small hosted model)' if simulated else ''}", _dollars(result)))
    console.print(make_table(("baseline", "mean [95 % interval]"), rows))


def _show_proof(result: Any) -> None:
    _title(5, "Prove the winner on the test messages, which the search never saw")
    estimate = "unknown" if result.search_score is None else f"{result.search_score:.3f}"
    console.print(f"The search spent {result.rollouts} rollouts; its own estimate, which flatters: {estimate}")
    if result.held_out is not None:
        console.print(f"Paired difference: {result.held_out.evidence}, p = {result.held_out.paired.p_value:.4f}")
    console.print(Text(result.registered_because, style="bold"))
    for version in result.optimized_prompts:
        console.print(diff_panel(pr.load_prompt(version.name, version.parent), version))


def _changed_example(result: Any) -> str:
    """A test message that version 1 gets wrong and version 2 right, so that the move can be seen."""
    pairs = list(zip(result.held_out.before.rollouts, result.held_out.after.rollouts, strict=True))
    example_id = max(pairs, key=lambda pair: (pair[1].score == 1.0, pair[1].score - pair[0].score))[1].example_id
    examples = pr.current_registry().store.runs.examples(result.run_id)["held_out"]
    return next((example.inputs["message"] for example in examples if example.id == example_id), MESSAGE)


def _ask(message: str) -> tuple[str, str, str]:
    with pr.record("one question") as trace:
        answer = workflow.predict(message)
    versions = ", ".join(f"{use.name.removeprefix('banking/')} {use.version}" for use in trace.prompts if use.name)
    return versions, answer["department"], answer["intent"]


def _tokens(evaluation: Any) -> float:
    return (evaluation.usage.input_tokens + evaluation.usage.output_tokens) / max(1, len(evaluation.rollouts))


def _dollars(evaluation: Any) -> str:
    return "–" if evaluation.cost is None else f"{1000 * evaluation.cost / len(evaluation.rollouts):.3f}"


def _start_empty(options: argparse.Namespace) -> None:
    """An empty .demo/ that remembers which model this run uses."""
    if options.budget < 20:  # known now, rather than after the baseline
        raise pr.UserError(f"--budget {options.budget} is too small; give 20 or more")
    provider, _, name = options.model.partition(":")
    simulated = provider == "offline"
    if not simulated and provider != "openai":
        raise pr.UserError(f"cannot run the demo with {options.model!r}; use openai:<name>, or leave --model away")
    if not simulated and not os.environ.get("OPENAI_API_KEY"):
        raise pr.UserError("set OPENAI_API_KEY (and OPENAI_BASE_URL for a compatible server)")
    if not simulated:
        asyncio.run(resolve_model(options.model).check())  # costs nothing, and tells a wrong address or key now
    shutil.rmtree(workflow.WORK, ignore_errors=True)
    workflow.WORK.mkdir()
    reflection = f"offline:reflection?seed={options.seed}" if simulated else options.reflection_model or options.model
    settings = {
        "simulated": simulated, "model": workflow.SIMULATED if simulated else name.removeprefix("/"), "reflection": reflection,
        "seed": options.seed,
    }  # fmt: skip
    (workflow.WORK / "model.json").write_text(json.dumps(settings))


def _title(number: int, text: str) -> None:
    console.print()
    console.print(Rule(Text(f"{number}  {text}", style="bold"), align="left"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m examples.banking.demo", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--model", default="offline:task", help="openai:<name>; default: the simulated model")
    parser.add_argument("--reflection-model", help="openai:<name>; default: the same as --model")
    parser.add_argument("--budget", type=int, default=2000, help="rollouts of the search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--resume", action="store_true", help="go on with the last run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
