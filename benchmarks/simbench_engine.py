"""`commit_queue` in the form that the simulated benchmark's `bench.py` takes, through the public API and by no side door.

    PYTHONPATH=<this checkout> python <simbench>/bench.py --engines benchmarks.simbench_engine:commit_queue --scenarios dev3

The world is simulated: its figures say something about search, not about real models.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import prompt_registry_plugin as pr
from prompt_registry_plugin.optimize.optimizers.commit_queue.search import CommitQueue

_CHECK = re.compile(r"Check (ok|failed): (\w+)[^.]*\.")


Task = Callable[[Sequence[dict[str, str]]], Awaitable[str]]
Reflect = Callable[[str], Awaitable[str]]


async def commit_queue(world: Any, task: Task, reflect: Reflect, budget: int, seed: int, concurrency: int) -> dict[str, Any]:
    """One run: `{"best": {component: text}, "calls": rollouts}`."""
    return await _run("commit_queue", world, task, reflect, budget, seed, concurrency)


async def one_at_a_time(world: Any, task: Task, reflect: Reflect, budget: int, seed: int, concurrency: int) -> dict[str, Any]:
    """The same with one edit at a time."""
    return await _run(CommitQueue(workers=1), world, task, reflect, budget, seed, concurrency)


async def twelve_at_a_time(world: Any, task: Task, reflect: Reflect, budget: int, seed: int, concurrency: int) -> dict[str, Any]:
    """The same with twelve edits at a time."""
    return await _run(CommitQueue(workers=12), world, task, reflect, budget, seed, concurrency)


async def our_gepa(world: Any, task: Task, reflect: Reflect, budget: int, seed: int, concurrency: int) -> dict[str, Any]:
    """The package `gepa` on our engine, at its defaults."""
    return await _run("gepa", world, task, reflect, budget, seed, concurrency)


async def _run(
    optimizer: Any, world: Any, task: Task, reflect: Reflect, budget: int, seed: int, concurrency: int
) -> dict[str, Any]:
    from simworld import evaluate as judge
    from simworld import stage_messages

    examples = {example.text: example for example in (*world.train, *world.val)}
    baseline = world.seed_candidate()

    async def predict(ticket: str) -> dict[str, str]:
        outputs: dict[str, str] = {}
        for stage in world.stages:
            instruction = registry.load_prompt(stage, 1).format()
            outputs[stage] = await task(stage_messages(instruction, examples[ticket], list(outputs.values())))
        return outputs

    @pr.scorer
    async def tickets(inputs: dict[str, str], outputs: dict[str, str]) -> pr.Feedback:
        score, feedback, _ = judge(world, examples[inputs["ticket"]], outputs)
        items = [pr.Item(m[0], m[1] == "ok", _owner(m[2], outputs), m[2]) for m in _CHECK.finditer(feedback)]
        return pr.Feedback(score, items, feedback)

    async def model(messages: Sequence[dict[str, str]], **_params: Any) -> str:
        return await reflect(messages[0]["content"])

    # ruff: noqa: SIM117  the inner scope needs what the outer one opened
    with tempfile.TemporaryDirectory() as folder, pr.open_registry(f"sqlite:///{Path(folder) / 'bench.db'}") as registry:
        with pr.use_registry(registry):
            for stage, text in baseline.items():
                pr.register_prompt(stage, text)
            result = await pr.aoptimize_prompts(
                predict_fn=predict,
                train_data=[{"inputs": {"ticket": ticket}} for ticket in examples],
                prompt_uris=[f"prompts:/{stage}/1" for stage in baseline],
                scorers=[tickets],
                reflection_model=model,
                optimizer=optimizer,
                budget=budget,
                eval_data=[],  # the benchmark has test tickets of its own
                options=pr.RunOptions(concurrency=concurrency, seed=seed, on_event=lambda event: None),
            )
    return {"best": dict(result.winner.templates), "calls": result.rollouts}


def _owner(field: str, outputs: dict[str, str]) -> str | None:
    """The one stage whose output has the field, as any user's scorer can tell."""
    owners = [stage for stage, said in outputs.items() if re.search(rf"^{field}: ", said, re.M)]
    return owners[0] if len(owners) == 1 else None
