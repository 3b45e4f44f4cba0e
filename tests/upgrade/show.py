"""Shows what a version of the library makes of `registry-0.1.0.sqlite`, as JSON: `expected.json` is what 0.1.0 itself said.

    python show.py [FILE]          # run with the package, and the folder of `tests/simulated_target.py`, on the path

It uses the documented API alone (names of `prompt_registry_plugin`, methods of a registry and its store), and works on copies of the file.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import prompt_registry_plugin as pr

FILE = Path(__file__).with_name("registry-0.1.0.sqlite")
QUIET = {"on_event": lambda event: None}
SEARCHES = [
    None,
    "name LIKE 's%'",
    "tags.team = 'care'",
    "alias = 'production' AND NOT name LIKE '%/%'",
    "text MATCH 'plastic pin'",
    "text MATCH '銀行'",
    "archived = 'true'",
    "created_at >= '2020-01-01' AND tags.quality ILIKE 'GOOD'",
]


def plain(value: Any) -> Any:
    """As JSON would give it back."""
    return json.loads(json.dumps(value, default=lambda v: dict(v) if isinstance(v, Mapping) else list(v)))


@contextmanager
def a_copy(file: Path, folder: Path) -> Iterator[pr.PromptRegistry]:
    """A copy of the file as the current registry. A test's clock is not the maker's: what is kept was kept now, whoever ran is gone."""
    copy = folder / "copy.db"
    for old in folder.glob("copy.db*"):
        old.unlink()
    shutil.copy(file, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as raw:
        raw.execute("UPDATE kept_rollouts SET kept_at = ?", (datetime.now(UTC).isoformat(timespec="microseconds"),))
        raw.execute("UPDATE runs SET updated_at = '2020-01-01T00:00:00.000000+00:00'")
    with pr.open_registry(f"sqlite:///{copy}") as registry, pr.use_registry(registry):
        yield registry


def history_entry(entry: Any) -> list[Any]:
    """An entry of a history."""
    if isinstance(entry, pr.PromptVersion):
        return ["version", entry.version, entry.commit_message, entry.created_by, entry.created_at.isoformat()]
    if isinstance(entry, pr.AliasMove):
        return [
            "move",
            entry.alias,
            entry.from_version,
            entry.to_version,
            entry.reason,
            entry.rollback,
            entry.moved_by,
            entry.moved_at.isoformat(),
        ]
    return [
        "change",
        entry.kind,
        entry.version,
        entry.key,
        entry.old,
        entry.new,
        entry.reason,
        entry.changed_by,
        entry.changed_at.isoformat(),
    ]


def prompts(registry: pr.PromptRegistry) -> dict[str, Any]:
    """Every prompt with every version, as loaded."""
    found = {}
    for name in registry.store.prompts.names():
        versions = {}
        for stored in registry.store.prompts.versions(name):
            v = pr.load_prompt(name, stored.version)
            versions[str(v.version)] = {
                "template": v.template, "source": v.source, "includes": v.includes, "format": v.template_format, "variables": sorted(v.variables),
                "tags": v.tags, "aliases": v.aliases, "response_format": v.response_format, "model_config": v.model_config, "tools": v.tools,
                "variable_schemas": v.variable_schemas, "parent": v.parent, "run_id": v.run_id, "content_hash": v.content_hash,
                "message": v.commit_message, "by": v.created_by, "at": v.created_at.isoformat(),
            }  # fmt: skip
        history = [history_entry(entry) for entry in pr.prompt_history(name)]
        found[name] = {"versions": versions, "protected": registry.store.prompts.protected(name), "history": history}
    return found


def rendered() -> dict[str, Any]:
    """What some prompts say, and what is refused."""
    support = pr.load_prompt("prompts:/support@production")
    values = {"bank": "Ünion", "tone": "short", "count": 2, "question": "{{bank}}?"}
    try:
        support.format(**{**values, "count": 0})
        refused = False
    except pr.InvalidVariable:
        refused = True
    return {
        "support": support.format(values, history=[{"role": "assistant", "content": "{{x}}"}]),
        "refused": refused,
        "letter": pr.load_prompt("letter").format(name="Ann", items=["a", "b"]),
        "archived": pr.load_prompt("old/greeting").format(name="Ann"),
        "deleted": pr.load_prompt("intent", 2, allow_missing=True),
    }


def traces(registry: pr.PromptRegistry) -> list[Any]:
    """The stored traces with what was said about them."""
    summaries = {summary.id: summary for summary in registry.store.traces.newest(1000)}
    found = []
    for trace in pr.search_traces(max_results=1000):
        said = registry.store.traces.feedback([trace.id])
        found.append({
            "id": trace.id, "name": trace.name, "run_id": trace.run_id, "error": trace.error, "errors": summaries[trace.id].errors,
            "spans": [[s.kind, s.name, s.error] for s in trace.spans], "tokens": [trace.usage.input_tokens, trace.usage.output_tokens],
            "prompts": [[use.name, use.version] for use in trace.prompts],
            "feedback": [[f.name, f.value, f.rationale, f.expectations, f.created_by] for f in said],
        })  # fmt: skip
    return found


def datasets() -> dict[str, Any]:
    """Each version's rows."""
    found = {}
    for summary in pr.list_datasets():
        for version in range(1, summary.version + 1):
            data = pr.load_dataset(summary.name, version)
            assert data.summary is not None
            rows = [[row.id, row.inputs, row.expectations] for row in data]
            found[f"{summary.name}/{version}"] = {
                "message": data.summary.commit_message,
                "hash": data.summary.content_hash,
                "rows": rows,
            }
    return found


def runs(registry: pr.PromptRegistry) -> list[Any]:
    """Optimization runs, newest first."""
    found = []
    for run in registry.store.runs.newest():
        splits = registry.store.runs.examples(run.id)
        found.append({
            "id": run.id, "status": run.status, "config": run.config, "result": run.result,
            "examples": {split: len(rows) for split, rows in splits.items()},
            "rollouts": {split: len(registry.store.runs.rollouts(run.id, split)) for split in splits},
            "candidates": [[c.candidate.id, c.status] for c in registry.store.runs.candidates(run.id)],
            "reflections": len(registry.store.runs.reflections(run.id)),
        })  # fmt: skip
    return found


def tracked(registry: pr.PromptRegistry) -> list[Any]:
    """Tracked runs, found by the traces that belong to them."""
    found = []
    for run_id in sorted({trace.run_id for trace in pr.search_traces(max_results=1000) if trace.run_id}):
        run = registry.store.runs.tracked(run_id)
        assert run is not None
        found.append([run.id, run.experiment, run.name, run.error, run.ended_at is not None, run.params, run.metrics, run.tags])
    return found


def from_traces() -> dict[str, Any]:
    """Rows of what was recorded, and the table of tries."""
    production = pr.Dataset.from_traces(pr.search_traces(name="production"), only="reviewed")
    table = pr.load_table()
    return {
        "reviewed": [[row.inputs, row.expectations] for row in production],
        "of_version_3": len(pr.search_traces(prompt="prompts:/intent/3")),
        "failed": len(pr.search_traces(failed=True)),
        "tries": [[row["prompt"], row["model"], row["text"], row["output"]] for row in table.to_dict("records")],
    }


def adopted() -> dict[str, Any]:
    """What an agent with the text that was adopted is served."""
    from langchain_core.prompts import ChatPromptTemplate

    template = ChatPromptTemplate.from_messages([("system", "Say card or loan, as {{json}}."), ("human", "{question}")])
    pr.enable("langchain")
    try:
        return {"served": [[m.type, m.content] for m in template.invoke({"question": "why?"}).to_messages()]}
    finally:
        pr.disable()


def kept_rows(registry: pr.PromptRegistry) -> dict[str, str]:
    """Keys of kept rollouts and when they were kept: one that is run again is written again. (`Store.dump` leaves them out.)"""
    with closing(sqlite3.connect(registry.url.removeprefix("sqlite:///"))) as raw:
        return dict(raw.execute("SELECT key, kept_at FROM kept_rollouts"))


def a_target() -> Any:
    """The module of the user's that some runs name."""
    return import_module("tests.simulated_target")


def repeated(registry: pr.PromptRegistry) -> dict[str, Any]:
    """The evaluations of which rollouts are kept, again: [rows, how many were paid for again, mean score]."""
    agent = pr.PromptAgent("prompts:/intent@production", "offline:task", temperature=0)
    scorers = [pr.Length(max_words=3), pr.Regex("^(card|loan|transfer)$"), pr.Correctness("offline:judge")]
    some = list(pr.load_dataset("intents", 1))[:2]
    nightly, plain_ = pr.RunOptions(cache="nightly", **QUIET), pr.RunOptions(cache="plain", **QUIET)
    before = kept_rows(registry)
    found: dict[str, Any] = {"kept": len(before)}

    def note(what: str, score: float, rows: int) -> None:
        nonlocal before
        after = kept_rows(registry)
        found[what] = [rows, sum(before.get(key) != at for key, at in after.items()), round(score, 6)]
        before = after

    result = pr.evaluate(predict_fn=agent, data="datasets:/intents", scorers=scorers, options=nightly)
    note("evaluate", result.score.mean, len(result.rollouts))
    uris = ["prompts:/intent/1", "prompts:/intent/3"]
    compared = pr.compare(predict_fn=agent, data=some, scorers=scorers, prompts=uris, options=nightly)
    note("compare", compared.variants[-1].result.score.mean, sum(len(v.result.rollouts) for v in compared.variants))
    result = pr.evaluate(predict_fn=agent, data=some, scorers=["exact_match"], options=plain_)
    note("plain", result.score.mean, len(result.rollouts))
    result = pr.evaluate(predict_fn="tests.simulated_target:predict", data=a_target().rows(1)[:2], scorers=[a_target().right],
                         options=pr.RunOptions(cache="function", **QUIET))  # fmt: skip
    note("function", result.score.mean, len(result.rollouts))
    other = pr.RunOptions(cache="another", **QUIET)  # to see that the counting counts
    result = pr.evaluate(predict_fn=agent, data=some, scorers=scorers, options=other)
    note("under another name", result.score.mean, len(result.rollouts))
    return found


def resumed(registry: pr.PromptRegistry) -> dict[str, Any]:
    """Each run to its end; what was stored before has to be stored still."""
    found = {}
    for run in reversed(registry.store.runs.newest()):
        splits = registry.store.runs.examples(run.id)
        before = {r.candidate_id + r.example_id for split in splits for r in registry.store.runs.rollouts(run.id, split)}
        result = pr.resume_run(run.id, **QUIET)
        after = [r.candidate_id + r.example_id for split in splits for r in registry.store.runs.rollouts(run.id, split)]
        said = registry.store.runs.get(run.id)
        found[run.id] = {
            "was": run.status, "status": said.status, "rollouts_before": len(before), "lost": len(before - set(after)),
            "twice": sum(n > 1 for n in Counter(after).values()), "rollouts": len(after), "search_rollouts": result.rollouts,
            "search_within_budget": result.rollouts <= run.config["budget"]["rollouts"], "failed": result.failed_rollouts,
            "before": result.initial_eval_score, "after": result.final_eval_score, "because": result.registered_because,
            "registered": [v.uri for v in result.optimized_prompts],
        }  # fmt: skip
    return found


def main() -> None:
    """All of it."""
    file = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FILE
    os.chdir("/")  # where the runs were started
    with tempfile.TemporaryDirectory() as folder:
        with a_copy(file, Path(folder)) as registry:
            shown = {
                "prompts": prompts(registry),
                "rendered": rendered(),
                "searches": [[wanted, [[p.name, p.latest_version, p.aliases, p.tags, bool(p.archived_at)] for p in pr.search_prompts(wanted)]] for wanted in SEARCHES],
                "bindings": registry.store.prompts.bindings(),
                "adopted": adopted(),
                "traces": traces(registry),
                "from_traces": from_traces(),
                "datasets": datasets(),
                "tracked": tracked(registry),
                "runs": runs(registry),
                "rows_by_table": Counter(table for table, _ in registry.store.dump()),
            }  # fmt: skip
        with a_copy(file, Path(folder)) as registry:
            shown["repeated"] = repeated(registry)
        with a_copy(file, Path(folder)) as registry:
            shown["resumed"] = resumed(registry)
            shown["repeated_after_resuming"] = repeated(registry)
    print(json.dumps(plain(shown), indent=1, ensure_ascii=False, sort_keys=True))


if __name__ == "__main__":
    main()
