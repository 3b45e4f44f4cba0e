"""An optimizer of your own: one object with one coroutine. Run it: `python -m examples.custom_optimizer` (simulated, no key needed).

This one asks for one rewrite of each prompt after the other, from the worst runs, and keeps what does better on the validation rows.
"""

from __future__ import annotations

import prompt_registry_plugin as pr
from examples.simulated import a_model
from prompt_registry_plugin.evaluation.scoring import mean_score
from prompt_registry_plugin.optimize import Problem
from prompt_registry_plugin.protocols import OptimizationResult

VAGUE = "Classify the message. Answer with the label only. Labels: card_lost, transfer, fees"
TEXTS = {
    "card_lost": ("stolen on the train", "my wallet is gone"),
    "transfer": ("the money has not arrived", "my sister never received it"),
    "fees": ("charged twice this month", "why do I pay so much"),
}


class OneByOne:
    """Budget, concurrency, storage and resuming are the problem's business."""

    name = "one_by_one"
    reflects = True  # it asks the reflection model
    needs_data = True  # it learns from training examples

    async def optimize(self, problem: Problem) -> OptimizationResult:
        best, rows = problem.baseline, problem.validation[:20]
        score = mean_score(await problem.evaluate(best, rows)) or 0.0  # rows without a score are left out
        runs = await problem.evaluate(best, problem.train[:20])
        scored = [(r, e, r.score) for r, e in zip(runs, problem.train, strict=False) if r.score is not None]
        worst = sorted(scored, key=lambda run: run[2])[:3]
        seen = "\n\n".join(
            f"Example {n}\nInput: {'; '.join(map(str, e.inputs.values()))}\nAnswer: {r.outputs}\nFeedback: {i.text}"
            for n, (r, e, _) in enumerate(worst, 1) for s in r.scores.values() for i in s.items
        )  # fmt: skip
        for key, text in problem.baseline_components.items():
            new = (
                (await problem.reflect(f"Improve this instruction:\n```\n{text}\n```\nIt failed here:\n{seen}"))
                .split("```")[1]
                .strip()
            )
            if problem.remaining < len(rows) or problem.fault(key, new, text):
                continue
            child = problem.replace(best, key, new, note=f"rewrite of {key}")
            gained = mean_score(await problem.evaluate(child, rows)) or 0.0
            problem.decide(child, "accepted" if gained > score else "rejected", f"{key}: {score:.3f} → {gained:.3f}")
            best, score = (child, gained) if gained > score else (best, score)
        return OptimizationResult(best, score)


def main() -> None:
    """Improves one prompt of a small agent."""
    with a_model() as model:
        from openai import AsyncOpenAI

        pr.register_prompt("classify", VAGUE)

        async def predict(input: str) -> str:
            async with AsyncOpenAI() as client:
                prompt = pr.load_prompt("classify", 1).format()
                messages = [{"role": "system", "content": prompt}, {"role": "user", "content": input}]
                answer = await client.chat.completions.create(model=model, messages=messages)  # type: ignore[arg-type]
                return answer.choices[0].message.content or ""

        rows = [
            {"inputs": {"input": f"{text}, number {n}"}, "expectations": {"expected_response": label}}
            for n in range(10) for label, texts in TEXTS.items() for text in texts
        ]  # fmt: skip
        result = pr.optimize_prompts(
            predict_fn=predict, train_data=rows, prompt_uris=["prompts:/classify/1"], scorers=["exact_match"],
            reflection_model="offline:reflection", optimizer=OneByOne(), budget=100,
        )  # fmt: skip
        print(result)


if __name__ == "__main__":
    main()
