"""Our search beside its peers in a simulated world: the same worlds, the same reflection model, the same rollouts, interleaved.

    python -m benchmarks.optimizer --simbench ../shared/simbench --scenarios dev3,dev1 --budgets 300,600 --seeds 12
    python -m benchmarks.optimizer --simbench ../shared/simbench --latency-ms 200 --engines ours,gepa,gepa_tuned,mlflow --seeds 3

Prints, for each scenario and budget, the share of the gap between the seed prompts and the best possible ones that each closed, with its
95 % interval, and writes every run to `<out>.jsonl` and two pictures: score over rollouts, and score over time.

No real model is to be had for this: what the figures say is about search, credit and statistics, not about prompt writing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from prompt_registry_plugin.evaluation.statistics import mean_interval, paired_difference
from prompt_registry_plugin.records import Interval

ENGINES = {
    "ours": "benchmarks.simbench_engine:commit_queue",
    "ours, one at a time": "benchmarks.simbench_engine:one_at_a_time",
    "ours, twelve at a time": "benchmarks.simbench_engine:twelve_at_a_time",
    "ours, gepa": "benchmarks.simbench_engine:our_gepa",
}
Key = tuple[str, int, str]  # scenario, budget, engine


def run_one(job: tuple[str, str, str, int, int, argparse.Namespace]) -> dict[str, Any]:
    """One run of one engine in one world."""
    simbench, engine, scenario, budget, seed, arguments = job
    for folder in (simbench, str(Path.cwd())):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    bench: Any = importlib.import_module("bench")
    row: dict[str, Any] = bench.run_one(ENGINES.get(engine, engine), scenario, budget, seed, arguments)
    return {**row, "engine": engine}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simbench", required=True, help="the folder of the simulated world")
    parser.add_argument("--engines", default="ours,gepa,gepa_tuned", help=f"of {', '.join(ENGINES)}; or simbench's own")
    parser.add_argument("--scenarios", default="dev3,dev2x,dev1")
    parser.add_argument("--budgets", default="300,600")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first-seed", type=int, default=300)
    parser.add_argument("--latency-ms", type=float, default=0, help="of a task call, behind a real HTTP server; 0: in process")
    parser.add_argument("--reflect-ms", type=float, default=1000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--processes", type=int, default=1, help="runs at once; more than 1 makes times meaningless")
    parser.add_argument("--out", default="optimizer-benchmark")
    arguments = parser.parse_args()
    engines, budgets = arguments.engines.split(";" if ";" in arguments.engines else ","), arguments.budgets.split(",")
    jobs = [
        (arguments.simbench, engine, scenario, int(budget), seed, arguments)
        for scenario in arguments.scenarios.split(",")
        for budget in budgets
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        for engine in engines
    ]
    found: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    with ProcessPoolExecutor(arguments.processes) as pool, Path(f"{arguments.out}.jsonl").open("a") as file:
        for row in pool.map(run_one, jobs):
            found[row["scenario"], row["budget"], row["engine"]].append(row)
            file.write(json.dumps(row) + "\n")
            file.flush()
    show(found, timed=bool(arguments.latency_ms), concurrency=arguments.concurrency, latency=arguments.latency_ms / 1000)
    for axis in ("rollouts", *(["seconds"] if arguments.latency_ms else [])):
        _picture(found, axis, Path(f"{arguments.out}-{axis}.svg"))


def show(found: dict[Key, list[dict[str, Any]]], *, timed: bool, concurrency: int, latency: float) -> None:
    """The table: means with intervals, and the paired difference of the first engine to each other."""
    table = Table("scenario", "rollouts", "engine", "gap closed", "first engine less this", "reflections", "words", "over budget")
    for heading in ("seconds", "of the floor") if timed else ():
        table.add_column(heading)
    first: dict[tuple[str, int], list[float]] = {}
    for (scenario, budget, engine), rows in found.items():
        gaps = [row["gap"] for row in rows]
        lead = first.setdefault((scenario, budget), gaps)
        difference = "" if lead is gaps else _format_interval(paired_difference(gaps, lead).difference)
        over = max(0, max(row["calls"] for row in rows) - budget)
        cells = [scenario, str(budget), engine, _format_interval(mean_interval(gaps)), difference]
        cells += [f"{fmean(row['reflections'] for row in rows):.0f}", f"{fmean(row['words'] for row in rows):.0f}", str(over)]
        if timed:
            seconds = fmean(row["wall"] for row in rows)
            stages = 1 if "1" in scenario else 2 if "2" in scenario else 4 if "4" in scenario else 3
            floor = fmean(row["calls"] for row in rows) * stages * latency / concurrency
            cells += [f"{seconds:.1f}", f"{seconds / floor:.2f}"]
        table.add_row(*cells)
    Console(width=160).print(table)


def _format_interval(interval: Interval) -> str:
    return f"{interval.mean:+.2f}" if interval.low is None else f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _picture(found: dict[Key, list[dict[str, Any]]], axis: str, path: Path) -> None:
    """The mean share of the gap over rollouts or seconds, a line for each engine, over all scenarios."""
    from prompt_registry_plugin.evaluation.html import line_chart

    lines: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for (_, budget, engine), rows in found.items():
        lines[engine][budget] += rows
    points = {
        engine: [
            (float(budget) if axis == "rollouts" else fmean(row["wall"] for row in rows), fmean(row["gap"] for row in rows))
            for budget, rows in sorted(budgets.items())
        ]
        for engine, budgets in lines.items()
    }
    path.write_text(
        line_chart(points, title="share of the gap closed (simulated world)", x=axis, y="gap closed"), encoding="utf-8"
    )
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
