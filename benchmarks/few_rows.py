"""What a user with 30 to 240 rows gets: how often a run ends as proven or likely, and how often such a winner is truly worse.

    python -m benchmarks.few_rows --world banking --seeds 6
    python -m benchmarks.few_rows --world dev1 --simbench ../shared/simbench --seeds 6
    python -m benchmarks.few_rows --world null --seeds 10          # edits that change nothing: the grades have to say so

`banking` is the agent of `examples/banking` behind the *simulated* model, in process; its rows are drawn from all 540 messages, and the
true gain is measured on those that the run did not have. `dev…` are simulated worlds whose true score is known. In `null`, answers are
right with a probability of 0.6 whatever the prompt says, and the reflection model rewrites at random: no gain is true.

`--share` and `--validation-from` try other splits than the product's: the share of the rows that is held out, and the number of training
examples from which some are kept for validation. `--policy cross` searches on each half of the rows, with half of the budget, and tests
each winner on the other half.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import random
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import prompt_registry_plugin as pr
from prompt_registry_plugin.optimize.engine import evidence, splits

ROWS = (30, 60, 120, 240)
GAIN = 0.04
"""A true gain that is worth having: of runs with one, 60 % should end as likely or proven."""


@dataclass(frozen=True)
class World:
    """One thing to optimize, with the means to know the truth."""

    prompts: Mapping[str, str]
    """The baseline by prompt name."""
    rows: Sequence[dict[str, Any]]
    """The rows that the user has."""
    predict: Callable[..., Any]
    """The target."""
    scorers: Sequence[Any]
    """The scorers."""
    reflect: Any
    """The reflection model."""
    true_score: Callable[[Mapping[str, Any]], float]
    """The mean score of templates on everything that could be asked."""


def banking(rows: int, seed: int, _arguments: argparse.Namespace) -> World:
    """Return the banking agent on `rows` messages."""
    from examples.banking import workflow
    from prompt_registry_plugin.models.offline.task import answer

    route = (
        "You route messages of a bank's customers to a department.\nDepartments: cards, transfers, top_up.\n"
        "Answer with the department only."
    )
    classify = (
        "You name the intent of a bank customer's message, given the department in charge.\nThe intents of each department:\n"
        "cards: card_arrival, card_delivery_estimate, card_not_working, lost_or_stolen_card\n"
        "transfers: declined_transfer, failed_transfer, pending_transfer, transfer_timing\n"
        "top_up: pending_top_up, top_up_failed, top_up_limits, top_up_reverted\nAnswer with the intent only."
    )
    every = [json.loads(line) for path in (workflow.TRAIN, workflow.TEST) for line in path.read_text().splitlines()]
    random.Random(seed).shuffle(every)

    def ask(instruction: str, message: str) -> str:
        return answer([{"role": "system", "content": instruction}, {"role": "user", "content": message}], seed)

    def respond(texts: Mapping[str, str], message: str) -> dict[str, str]:
        department = ask(texts["banking/route"], f"Message: {message}")
        intent = ask(texts["banking/classify"], f"Department: {department}\nMessage: {message}")
        return {"department": department, "intent": intent}

    def predict(message: str) -> dict[str, str]:
        names = ("banking/route", "banking/classify")
        return respond({name: str(pr.load_prompt(name, 1).format()) for name in names}, message)

    def true_score(templates: Mapping[str, Any]) -> float:
        scores = []
        for row in every[rows:]:
            got = respond(templates, row["inputs"]["message"])
            scores.append(fmean(float(got[field] == row["expectations"][field]) for field in ("department", "intent")))
        return fmean(scores)

    prompts = {"banking/route": route, "banking/classify": classify}
    scorers = [workflow.department, workflow.intent]
    return World(prompts, every[:rows], predict, scorers, f"offline:reflection?seed={seed}", true_score)


def null(rows: int, seed: int, _arguments: argparse.Namespace) -> World:
    """Return a target whose answers are right with a probability of 0.6, whatever its prompt says."""
    draws = random.Random(seed)

    def predict(text: str) -> bool:
        prompt = str(pr.load_prompt("ask", 1).format())
        return zlib.crc32(f"{seed}{prompt}{text}".encode()) % 100 < 60

    async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
        return f"```\nAnswer the question with care, in the manner number {draws.randrange(10**6)}.\n```"

    @pr.scorer
    def right(outputs: bool) -> pr.Feedback:
        return pr.Feedback(
            float(outputs), [pr.Item("The answer is wrong." if not outputs else "Right.", outputs, "ask", "right")]
        )

    data = [{"inputs": {"text": f"question {seed} {i}"}} for i in range(rows)]
    return World({"ask": "Answer the question with care."}, data, predict, [right], reflect, lambda _templates: 0.6)


def simulated(rows: int, seed: int, arguments: argparse.Namespace) -> World:
    """Return one of simbench's worlds with as many tickets."""
    from benchmarks.simbench_engine import _CHECK, _owner

    if arguments.simbench not in sys.path:
        sys.path.insert(0, arguments.simbench)
    simworld: Any = importlib.import_module("simworld")
    world = simworld.World(seed, replace(simworld.SCENARIOS[arguments.world], n_train=rows, n_val=1))
    examples = {example.text: example for example in world.train[:rows]}

    async def predict(ticket: str) -> dict[str, str]:
        outputs: dict[str, str] = {}
        for stage in world.stages:
            instruction = pr.load_prompt(stage, 1).format()
            outputs[stage] = world.chat(
                "sim-task", simworld.stage_messages(instruction, examples[ticket], list(outputs.values()))
            )
        return outputs

    @pr.scorer
    async def tickets(inputs: dict[str, str], outputs: dict[str, str]) -> pr.Feedback:
        score, feedback, _ = simworld.evaluate(world, examples[inputs["ticket"]], outputs)
        items = [pr.Item(m[0], m[1] == "ok", _owner(m[2], outputs), m[2]) for m in _CHECK.finditer(feedback)]
        return pr.Feedback(score, items, feedback)

    async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
        answer: str = world.chat("sim-reflect", [{"role": "user", "content": messages[0]["content"]}])
        return answer

    data = [{"inputs": {"ticket": ticket}} for ticket in examples]
    return World(world.seed_candidate(), data, predict, [tickets], reflect, world.true_score)


def run_one(arguments: argparse.Namespace, rows: int, seed: int) -> dict[str, Any]:
    """Return one run: its grade, the rows of its test, and the true gain of its winner."""
    make = {"banking": banking, "null": null}.get(arguments.world, simulated)
    world = make(rows, seed, arguments)
    graded = _cross if arguments.policy == "cross" else _plain
    found = graded(world, arguments.budget, seed)
    gain = 0.0 if found["winner"] is None else world.true_score(found["winner"]) - world.true_score(world.prompts)
    del found["winner"]
    return {"world": arguments.world, "rows": rows, "seed": seed, "gain": gain, **found}


def _plain(world: World, budget: int, seed: int) -> dict[str, Any]:
    result = _optimize(world, world.rows, None, budget, seed)
    changed = result.winner.id != result.baseline.id
    test = result.held_out
    return {
        "winner": dict(result.winner.templates) if changed else None,
        "grade": result.grade,
        "p_better": None if test is None else test.evidence.p_better,
        "tested": 0 if test is None else test.difference.n,
        "measured": None if test is None else test.difference.mean,
        "calls": result.rollouts + (0 if test is None else 2 * test.difference.n),
    }


def _cross(world: World, budget: int, seed: int) -> dict[str, Any]:
    """Search on each half, test on the other, and weigh all pairs together; the winner is the one with the larger gain."""
    halves = world.rows[::2], world.rows[1::2]
    done = [_optimize(world, halves[i], halves[1 - i], budget // 2, seed) for i in (0, 1)]
    tests = [result.held_out for result in done if result.held_out is not None]
    if not tests:
        return {"winner": None, "grade": None, "p_better": None, "tested": 0, "measured": None, "calls": budget}
    before = [r.score for test in tests for r in test.before.rollouts]
    after = [r.score for test in tests for r in test.after.rollouts]
    found = evidence.of_test([s or 0.0 for s in before], [s or 0.0 for s in after])
    best = max((r for r in done if r.held_out is not None), key=lambda r: r.held_out.difference.mean)
    return {
        "winner": dict(best.winner.templates), "grade": found.grade, "p_better": found.p_better, "tested": found.difference.n,
        "measured": found.difference.mean, "calls": sum(r.rollouts for r in done) + 2 * found.difference.n,
    }  # fmt: skip


# ruff: noqa: SIM117  the inner scope needs what the outer one opened
def _optimize(world: World, train: Sequence[Any], test: Sequence[Any] | None, budget: int, seed: int) -> Any:
    with tempfile.TemporaryDirectory() as folder, pr.open_registry(f"sqlite:///{Path(folder) / 'few.db'}") as registry:
        with pr.use_registry(registry):
            for name, text in world.prompts.items():
                pr.register_prompt(name, text)
            return asyncio.run(
                pr.aoptimize_prompts(
                    predict_fn=world.predict,
                    train_data=list(train),
                    eval_data=None if test is None else list(test),
                    prompt_uris=[f"prompts:/{name}/1" for name in world.prompts],
                    scorers=world.scorers,
                    reflection_model=world.reflect,
                    budget=budget,
                    options=pr.RunOptions(concurrency=8, seed=seed, on_event=lambda event: None),
                )
            )


@contextmanager
def splitting(share: float | None, validation_from: int | None) -> Iterator[None]:
    """Split as the study asks for, in place of the product's rule."""
    kept = {name: getattr(splits, name) for name in ("_share_held_out", "_ENOUGH_FOR_VALIDATION")}
    if share is not None:
        splits._share_held_out = lambda rows, budget: share
    if validation_from is not None:
        splits._ENOUGH_FOR_VALIDATION = validation_from
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(splits, name, value)


def summarize(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the figures of a study in one line."""
    believed = [run for run in runs if run["grade"] in ("proven", "likely")]
    worth = [run for run in runs if run["gain"] >= GAIN]
    found = [run for run in worth if run in believed]
    counts = {grade: sum(run["grade"] == grade for run in runs) for grade in ("proven", "likely", "open", "worse", None)}
    return (
        f"{len(runs)} runs, mean true gain {fmean(run['gain'] for run in runs):+.3f}; "
        + ", ".join(f"{grade or 'no winner'} {n}" for grade, n in counts.items())
        + f"; of {len(worth)} with a true gain of {GAIN} or more, {len(found)} likely or proven"
        + f"; of {len(believed)} likely or proven, {sum(run['gain'] < 0 for run in believed)} truly worse"
        + f"; calls {fmean(run['calls'] for run in runs):.0f}"
    )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="banking", help="banking, null, or one of simbench's, such as dev1")
    parser.add_argument("--simbench", default="", help="the folder of the simulated worlds")
    parser.add_argument("--rows", default=",".join(map(str, ROWS)))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--policy", choices=("product", "cross"), default="product")
    parser.add_argument("--share", type=float)
    parser.add_argument("--validation-from", type=int)
    parser.add_argument("--out", help="a JSON Lines file for every run")
    arguments = parser.parse_args()
    runs = []
    with splitting(arguments.share, arguments.validation_from):
        for rows in map(int, arguments.rows.split(",")):
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                runs.append(run_one(arguments, rows, seed))
                if arguments.out:
                    with Path(arguments.out).open("a") as file:
                        file.write(json.dumps({**runs[-1], "policy": arguments.policy, "share": arguments.share}) + "\n")
            print(f"{rows:4} rows: {summarize([run for run in runs if run['rows'] == rows])}", flush=True)
    print(f"all: {summarize(runs)}")


if __name__ == "__main__":
    main()
