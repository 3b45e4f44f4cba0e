"""Type-checked, never run: the public functions keep their types through the lazy front door."""

from __future__ import annotations

from typing import assert_type

import prompt_registry_plugin as pr
from prompt_registry_plugin.registry.adoption import Adoption
from prompt_registry_plugin.tracing.recorder import TraceRecorder


async def check_types() -> None:
    assert_type(pr.register_prompt("a", "b", tags={"k": "v"}), pr.PromptVersion)
    assert_type(pr.load_prompt("a", version=1), pr.PromptVersion)
    assert_type(await pr.aload_prompt("a"), pr.PromptVersion)
    assert_type(pr.search_prompts("name = 'a'"), pr.records.Page)
    assert_type(pr.rollback("a", "production", reason="r"), pr.PromptVersion)
    assert_type(pr.prompt_history("a"), list[pr.PromptVersion | pr.records.AliasMove | pr.records.Change])
    with pr.record("r") as trace:
        assert_type(trace, TraceRecorder)
    assert_type(pr.adopt(trace, names={"a": None}), Adoption)
    result = pr.optimize_prompts(
        predict_fn=len,
        train_data=[],
        prompt_uris=["a"],
        scorers=["exact_match"],
        reflection_model="offline:reflection",
        budget=pr.Budget(100),
    )
    assert_type(result, pr.PromptOptimizationResult)
    assert_type(result.final_eval_score, float | None)
    assert_type(pr.evaluate(predict_fn=len, data="rows.jsonl", scorers=["exact_match"]).score, pr.records.Interval)

    @pr.trace
    def traced(x: int) -> str:
        return str(x)

    assert_type(traced(1), str)
    assert_type(pr.errors.InvalidTemplate("x"), pr.errors.InvalidTemplate)
    assert_type(pr.scorers.Regex("x"), pr.scorers.Regex)
    assert_type(pr.Page([], None), pr.records.Page)  # a name that left the front door
    print(pr.no_such_name)  # type: ignore[attr-defined]
    pr.load_prompt(5)  # type: ignore[call-overload]
    pr.set_prompt_alias("a", "b")  # type: ignore[call-arg]
