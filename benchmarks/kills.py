"""What a kill costs: runs that are killed with SIGKILL at a random moment and resumed, beside runs that are left alone.

    python -m benchmarks.kills [--kills 30] [--often 3]

For every killed run: how many calls were lost (they were under way), whether a stored pair was paid for twice, whether the budget was
kept; and over all, whether the scores of the winners on unseen examples differ from those of runs that nobody killed. The workflow and
its models are simulated, and no search makes the workflow perfect.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.statistics import mean_interval
from tests import resumed_target as target

ROOT = Path(__file__).parent.parent
BUDGET = 150
START = f"""
import prompt_registry_plugin as pr
from tests import resumed_target as target
pr.optimize_prompts(predict_fn=target.predict, train_data=target.rows(150), eval_data=[],
    prompt_uris=target.register(), scorers=[target.right], reflection_model=target.reflect, budget={BUDGET},
    options=pr.RunOptions(concurrency=8, seed=SEED, on_event=lambda event: None))
"""


UNSEEN = target.rows(1000, start=10_000)


def true_score(templates: Mapping[str, Any]) -> float:
    """The mean score of a candidate on unseen examples."""
    os.environ["DELAY"] = "0"
    with pr.override_prompts(dict(templates)):
        return fmean(target.share.function(target.predict(**row["inputs"]), row["expectations"]) for row in UNSEEN)


def run(seed: int, kills: Sequence[float]) -> dict[str, Any]:
    """One run, killed after each of so many seconds of work and resumed; or left alone."""
    with tempfile.TemporaryDirectory() as folder:
        calls, url = Path(folder) / "calls", f"sqlite:///{folder}/prompts.db"
        environment = {
            **os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'adapters'}", "PROMPT_REGISTRY_URL": url, "CALLS": str(calls), "DELAY": "0.03",
        }  # fmt: skip
        start = [sys.executable, "-c", START.replace("SEED", str(seed))]
        killed_at, untested, lost = [], 0, 0
        for seconds in (*kills, None):
            made = count(calls)
            process = subprocess.Popen(start, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
            if seconds is not None:
                while count(calls) == made and process.poll() is None:
                    time.sleep(0.005)
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
            process.wait()
            with pr.open_registry(url) as registry:
                (record,) = registry.store.runs.newest()
                runs = registry.store.runs
                stored = [(r.candidate_id, r.example_id) for r in runs.rollouts(record.id, "train")]
                if record.status == "finished":
                    break
                # A run that a dead process worked on is free at once: its process is gone.
                start = [sys.executable, "-m", "prompt_registry_plugin", "--registry", url, "runs", "resume", record.id, "--json"]
                killed_at.append(len(stored))
                untested += sum(candidate.status == "proposed" for candidate in runs.candidates(record.id))
                lost = count(calls) - len(stored)
        with pr.open_registry(url) as registry, pr.use_registry(registry):
            finished = registry.store.runs.get(record.id)
            assert finished is not None
            winner = next(
                c for c in registry.store.runs.candidates(record.id) if c.candidate.id == (finished.result or {})["winner"]
            )
            return {
                "killed_at": killed_at, "untested": untested, "lost": lost, "calls": count(calls), "rows": len(stored),
                "twice": sum(n - 1 for n in Counter(stored).values()), "search": finished.rollouts,
                "score": true_score(winner.candidate.templates), "status": finished.status,
            }  # fmt: skip


def count(calls: Path) -> int:
    """Return how many calls were made."""
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--often", type=int, default=3, help="kills of one run, at most")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    rng = random.Random(0)
    left, killed = [], []
    for seed in range(arguments.kills):
        left.append(run(seed, []))
        killed.append(run(seed, [rng.uniform(0.0, 0.8) for _ in range(rng.randint(1, arguments.often))]))
    table = Table("", "left alone", "killed and resumed")
    for name, value in (
        ("runs finished", lambda rows: f"{sum(r['status'] == 'finished' for r in rows)} of {len(rows)}"),
        ("kills", lambda rows: str(sum(len(r["killed_at"]) for r in rows))),
        (
            "killed after rollouts",
            lambda rows: "–" if not (at := [n for r in rows for n in r["killed_at"]]) else f"{min(at)}–{max(at)}",
        ),
        ("edits under test at a kill", lambda rows: str(sum(r["untested"] for r in rows))),
        ("pairs stored twice", lambda rows: str(sum(r["twice"] for r in rows))),
        (
            "calls under way at a kill, lost",
            lambda rows: f"{fmean(r['lost'] for r in rows):.1f} a run, at most {max(r['lost'] for r in rows)}",
        ),
        ("calls beyond rows and lost ones", lambda rows: str(sum(r["calls"] - r["rows"] - r["lost"] for r in rows))),
        (f"rollouts of the search (budget {BUDGET})", lambda rows: f"at most {max(r['search'] for r in rows)}"),
        ("score of the winner on 1,000 unseen examples", lambda rows: str(mean_interval([r["score"] for r in rows]))),
        ("its quartiles", lambda rows: ", ".join(f"{q:.3f}" for q in quantiles([r["score"] for r in rows], n=4))),
    ):
        table.add_row(name, value(left), value(killed))
    print(f"difference, by seed: {mean_interval([k['score'] - a['score'] for a, k in zip(left, killed, strict=True)])}")
    Console(width=120).print(table)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps({"left": left, "killed": killed}))


if __name__ == "__main__":
    main()
