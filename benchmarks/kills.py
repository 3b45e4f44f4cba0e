"""What a kill costs: runs that are killed with SIGKILL at a random moment and resumed, beside runs that are left alone.

    python -m benchmarks.kills [--kills 30]

For every killed run: how many calls were lost (they were under way), whether a stored pair was paid for twice, whether the budget was
kept; and over all, whether the final scores differ from those of runs that nobody killed. The workflow and its models are simulated.
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
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.statistics import mean_interval

ROOT = Path(__file__).parent.parent
BUDGET = 150
START = f"""
import prompt_registry_plugin as pr
from tests import simulated_target as target
pr.optimize_prompts(predict_fn=target.predict, train_data=target.rows(8), eval_data=target.rows(2, start=100),
    prompt_uris=target.register(), scorers=[target.right], reflection_model=target.reflect, budget={BUDGET},
    options=pr.RunOptions(concurrency=8, seed=SEED, on_event=lambda event: None))
"""


def run(seed: int, kill_after: float | None) -> dict[str, Any]:
    """One run, killed after so many seconds of work and resumed; or left alone."""
    with tempfile.TemporaryDirectory() as folder:
        calls, url = Path(folder) / "calls", f"sqlite:///{folder}/prompts.db"
        environment = {
            **os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'adapters'}", "PROMPT_REGISTRY_URL": url, "CALLS": str(calls), "DELAY": "0.03",
        }  # fmt: skip
        process = subprocess.Popen([sys.executable, "-c", START.replace("SEED", str(seed))], env=environment, cwd=folder)
        if kill_after is not None:
            while not calls.exists() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)
        process.wait()
        with pr.open_registry(url) as registry:
            (record,) = registry.store.runs.newest()
            before = len(registry.store.runs.rollouts(record.id, "train")) + len(
                registry.store.runs.rollouts(record.id, "held_out")
            )
            made = len(calls.read_text().splitlines())
            if record.status != "finished":
                resume = [
                    sys.executable,
                    "-m",
                    "prompt_registry_plugin",
                    "--registry",
                    url,
                    "runs",
                    "resume",
                    record.id,
                    "--json",
                ]
                # A run that a dead process worked on is free at once: its process is gone.
                subprocess.run(resume, env=environment, cwd=folder, check=True, capture_output=True)
            runs, splits = registry.store.runs, ("train", "held_out")
            stored = [(split, r.candidate_id, r.example_id) for split in splits for r in runs.rollouts(record.id, split)]
            finished = registry.store.runs.get(record.id)
            assert finished is not None
            total = len(calls.read_text().splitlines())
            return {
                "killed_at": before, "lost": made - before if kill_after is not None else 0, "calls": total, "rows": len(stored),
                "twice": sum(n - 1 for n in Counter(stored).values()), "search": finished.rollouts,
                "score": (finished.result or {}).get("final_eval_score"), "status": finished.status,
            }  # fmt: skip


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    rng = random.Random(0)
    left, killed = [], []
    for seed in range(arguments.kills):
        left.append(run(seed, None))
        killed.append(run(seed, rng.uniform(0.0, 0.9)))
    table = Table("", "left alone", "killed and resumed")
    for name, value in (
        ("runs finished", lambda rows: f"{sum(r['status'] == 'finished' for r in rows)} of {len(rows)}"),
        ("killed after rollouts", lambda rows: f"{min(r['killed_at'] for r in rows)}–{max(r['killed_at'] for r in rows)}"),
        ("pairs stored twice", lambda rows: str(sum(r["twice"] for r in rows))),
        (
            "calls under way at the kill, lost",
            lambda rows: f"{fmean(r['lost'] for r in rows):.1f}, at most {max(r['lost'] for r in rows)}",
        ),
        ("calls beyond rows and lost ones", lambda rows: str(sum(r["calls"] - r["rows"] - r["lost"] for r in rows))),
        (f"rollouts of the search (budget {BUDGET})", lambda rows: f"at most {max(r['search'] for r in rows)}"),
        ("final held-out score", lambda rows: str(mean_interval([r["score"] for r in rows if r["score"] is not None]))),
    ):
        table.add_row(name, value(left), value(killed))
    Console(width=120).print(table)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps({"left": left, "killed": killed}))


if __name__ == "__main__":
    main()
