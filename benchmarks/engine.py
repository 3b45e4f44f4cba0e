"""What the engine itself costs: a search over a target that answers at once, with a reflection model that does, too.

    python -m benchmarks.engine [--rollouts 10000]

Prints milliseconds a rollout beyond the target's own time, and how much memory a process has had at most, for a tenth of the rollouts and
for all of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import prompt_registry_plugin as pr

LABELS = [f"label{n}" for n in range(12)]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rollouts", type=int, default=10_000)
    rollouts = parser.parse_args().rollouts
    for budget in (rollouts // 10, rollouts):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{folder}/prompts.db"
            with pr.open_registry(os.environ["PROMPT_REGISTRY_URL"]) as registry, pr.use_registry(registry):
                print(measure(budget))


def measure(budget: int) -> str:
    """One run of so many rollouts."""
    spent = 0.0
    pr.register_prompt("classify", "Answer with one of the labels that you know: " + ", ".join(LABELS))
    rows = [{"inputs": {"n": n}, "expectations": {"label": LABELS[n % 12]}} for n in range(max(1000, budget // 10))]
    edits = 0

    async def predict(n: int) -> str:
        nonlocal spent
        began = time.perf_counter()
        said = pr.load_prompt("classify", 1).format()
        answer = LABELS[n % 12] if hash((n, said)) % 100 < 60 else "unknown"
        spent += time.perf_counter() - began
        return answer

    @pr.scorer
    async def right(outputs: str, expectations: Mapping[str, str]) -> pr.Feedback:
        ok = outputs == expectations["label"]
        return pr.Feedback(float(ok), [pr.Item(f"should be {expectations['label']}", ok, "classify", expectations["label"])])

    async def reflect(messages: Any) -> str:
        nonlocal edits
        edits += 1
        return "```\n" + messages[0]["content"].split("```")[1].strip() + f"\n- rule {edits}: look closely\n```"

    began = time.perf_counter()
    result = pr.optimize_prompts(
        predict_fn=predict, train_data=rows, eval_data=[], prompt_uris=["prompts:/classify/1"], scorers=[right],
        reflection_model=reflect, budget=budget, constraints=pr.Constraints(max_words=10_000),
        options=pr.RunOptions(concurrency=32, on_event=lambda event: None),
    )  # fmt: skip
    seconds = time.perf_counter() - began - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (
        f"{result.rollouts} rollouts, {edits} reflections: {seconds / result.rollouts * 1000:.2f} ms of our own a rollout, "
        f"{memory:.0f} MB at most in this process so far"
    )


if __name__ == "__main__":
    main()
