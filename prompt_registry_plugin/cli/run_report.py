"""How an optimization run looks in a terminal: the change in all, facts, the held-out test row by row, the log and the tree of edits."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from prompt_registry_plugin.cli.display import console, make_table, run_tree, word_diff
from prompt_registry_plugin.optimize.engine.state import UNFINISHED, resume_advice, state_of
from prompt_registry_plugin.optimize.report import RunReport
from prompt_registry_plugin.registry.registry import PromptRegistry

_ROWS = 20  # of the held-out test, those that changed first; the page and the JSON have all


def print_report(report: RunReport, registry: PromptRegistry, *, edits: bool) -> None:
    """Print everything about a run. With `edits`, the tree shows the diff of each edit."""
    out = console()
    for change in report.changes:
        out.print(Text(f"{change.key}: {change.size}", style="bold"))
        out.print(word_diff(change.before, change.after))
        out.print()
    out.print(make_table(("run", report.run.id), _facts(report, registry)))
    if report.proof:
        out.print()
        out.print(
            make_table(("", "before", "after", "input", "answer"), _proof_cells(report), f"held-out test: {report.proof_summary}")
        )
    out.print()
    out.print(Text("log of edits", style="bold"))
    for line in report.log:
        out.print(Text(f"{line.at:>6} rollouts  {line.status:<10}  {line.text}"))
    out.print()
    out.print(run_tree(report, edits=edits))


def _facts(report: RunReport, registry: PromptRegistry) -> list[tuple[str, str]]:
    run, config, result = report.run, report.config, report.run.result or {}
    state = state_of(run)
    facts = [
        ("state", state + (f": {run.error}" if run.error else "")),
        ("to go on", resume_advice(run.id, config, registry) if state in UNFINISHED else ""),
        ("outcome", str(result.get("because", ""))),
        (
            "held-out",
            "" if report.evidence is None else f"{report.evidence.before:.3f} → {report.evidence.after:.3f}, {report.evidence}",
        ),
        ("grade", "" if report.evidence is None else report.evidence.grade),
        ("search ended", report.ended),
        ("prompts", ", ".join(uri.removeprefix("prompts:/") for uri in config.prompts)),
        ("size", "; ".join(f"{change.key}: {change.size}" for change in report.changes)),
        ("target", config.predict_fn or "cannot be imported by name"),
        ("scorers", ", ".join(name or "one that cannot be imported by name" for name in config.scorers)),
        ("optimizer", config.optimizer),
        ("reflection model", config.reflection_name + (" (simulated)" if config.reflection_simulated else "")),
        ("spent", report.spent),
        ("duration", report.duration),
        ("failed rollouts", str(report.failed)),
        ("without a score", f"{len(report.unscored)}, such as: {report.unscored[0]}" if report.unscored else ""),
        ("unreadable answers", f"{len(report.unreadable)}, such as: {report.unreadable[0]}" if report.unreadable else "0"),
    ]
    return [(name, value) for name, value in facts if value]


def _proof_cells(report: RunReport) -> list[tuple[str, ...]]:
    rows = [row for row in report.proof if row.verdict != "same"][:_ROWS]
    return [
        (row.verdict, _score(row.before), _score(row.after), row.inputs, " → ".join(dict.fromkeys(row.answers))) for row in rows
    ]


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def report_data(report: RunReport) -> dict[str, Any]:
    """Return what the report adds to a run and its candidates, as JSON data."""
    return {
        "changes": {change.key: {"before": change.before, "after": change.after, "size": change.size} for change in report.changes},
        "proof": [
            {"inputs": row.inputs, "before": row.before, "after": row.after, "verdict": row.verdict, "answers": list(row.answers)}
            for row in report.proof
        ],
        "log": [{"at": line.at, "status": line.status, "text": line.text} for line in report.log],
        "ended": report.ended, "tokens": report.tokens, "dollars": report.dollars, "seconds": report.run.seconds,
        "reflections": report.reflections, "unreadable": list(report.unreadable), "unscored": list(report.unscored),
    }  # fmt: skip
