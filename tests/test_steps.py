"""What the reflection model is shown of a workflow: the steps that ran, with calls of tools and handoffs as their answers."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import Blame
from prompt_registry_plugin.optimize.optimizers.few_shot import _answer
from prompt_registry_plugin.optimize.optimizers.reflection import Evidence, reflection_prompt
from prompt_registry_plugin.records import Example, Item, Rollout, Score, Usage
from prompt_registry_plugin.tracing.calls import answer_of, call_text
from tests.test_adapters import openai_agents_model

TEXTS = {"triage": "You send people to the right desk.", "refunds": "You pay money back.", "weather": "You know the weather."}
ROWS: list[dict[str, Any]] = [{"inputs": {"text": f"{'refund' if n % 2 else 'weather'} number {n}"}} for n in range(40)]


@pytest.fixture
def desk() -> Any:
    """Three agents of OpenAI Agents: one hands over to one of the others, which looks something up first."""
    from agents import Agent, Runner, function_tool
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    pr.enable("openai_agents")
    model = openai_agents_model()

    def message(system_instructions: Any, input: Any, tools: Any, handoffs: Any) -> Any:
        def call(name: str, arguments: str) -> Any:
            return ResponseFunctionToolCall(call_id=uuid4().hex, name=name, arguments=arguments, type="function_call")

        if handoffs:
            return call(f"transfer_to_{'refunds' if 'refund' in str(input) else 'weather'}", "{}")
        if not any("found it" in str(item) for item in input):
            return call("look_up", '{"words": "money"}')
        part = ResponseOutputText(type="output_text", text=f"Done by {str(system_instructions)[:15]}", annotations=[])
        return ResponseOutputMessage(id="1", type="message", role="assistant", status="completed", content=[part])

    @function_tool
    def look_up(words: str) -> str:
        return "found it"

    model.message = message
    agents = [Agent(name=name, instructions=f"prompts:/{name}", model=model, tools=[look_up]) for name in ("refunds", "weather")]
    for name, text in TEXTS.items():
        pr.register_prompt(name, text)
    triage = Agent(name="triage", instructions="prompts:/triage", model=model, handoffs=agents)

    async def run(text: str) -> str:
        return str((await Runner.run(triage, text)).final_output)

    return run


@pr.scorer
def wrong(outputs: str) -> pr.Feedback:
    """Everything is wrong, in a kind that names no step."""
    return pr.Feedback(0.0, [pr.Item("The answer is not polite.", ok=False, key="polite")])


@pytest.mark.parametrize("optimizer", ["commit_queue", "metaprompt", "gepa"])
async def test_reflection_is_shown_the_steps_that_ran(optimizer: str, desk: Any) -> None:
    """Handoffs and tool calls are answers; a row that went to another agent is no evidence about this one."""
    asked: list[str] = []

    def reflect(messages: Any) -> str:
        asked.append(messages if isinstance(messages, str) else str(messages[-1]["content"]))
        return f"```\nText number {len(asked)}.\n```"

    pr.optimize_prompts(
        predict_fn=desk, train_data=ROWS, prompt_uris=[f"prompts:/{name}/1" for name in TEXTS], scorers=[wrong],
        reflection_model=reflect, budget=60, optimizer=optimizer, options=pr.RunOptions(4, on_event=lambda event: None),
    )  # fmt: skip
    about = {name: [text for text in asked if TEXTS[name] in text] for name in TEXTS}
    assert about["triage"], "some edit is aimed at it"
    for name, other in (("refunds", "weather number"), ("weather", "refund number")):
        assert not any(other in text for text in about[name]), name
        assert all('→ look_up(words="money")' in text and "Done by" in text for text in about[name]), name
    assert all(re.search(r"→ transfer_to_(refunds|weather)\(\)", text) and "look_up" not in text for text in about["triage"])


def make_rollout(
    renders: dict[str, int], *items: Item, answers: dict[str, list[str]] | None = None, score: float = 0.0
) -> Rollout:
    answers = answers or {}
    return Rollout(
        "row", "candidate", "the end", {"s": Score(score, items=items)}, score, 0.1, Usage(), renders=renders,
        outputs_by_prompt={name: given[-1] for name, given in answers.items()}, answers_by_prompt=answers,
    )  # fmt: skip


def test_blame_goes_to_steps_that_ran() -> None:
    """Whether an item names a step or none; a row that went elsewhere blames nobody."""
    blame = Blame({"triage": "", "refunds": "", "weather#2": ""})
    item, named = Item("rude", False, key="rude"), Item("rude", False, "weather", "rude")
    assert list(blame.failures(make_rollout({"triage": 1, "refunds": 1, "weather": 0}, item))) == [
        ("triage", "rude"),
        ("refunds", "rude"),
    ]
    assert list(blame.failures(make_rollout({"triage": 1, "refunds": 1, "weather": 0}, named))) == [
        ("triage", "rude"),
        ("refunds", "rude"),
    ]
    assert list(blame.failures(make_rollout({"triage": 1, "refunds": 0, "weather": 2}, named))) == [("weather#2", "rude")]
    assert not blame.failures(make_rollout({"triage": 0, "refunds": 0, "weather": 0}, named, item))
    lost = replace(make_rollout({"triage": 1, "refunds": 0}, item), error="'refunds' never rendered while overridden, so …")
    assert not blame.failures(lost), "no edit of a prompt mends that it was not used"
    assert len(blame.failures(make_rollout({}, item))) == 3, "a rollout of an earlier version does not tell"


def test_a_failure_is_not_fixed_by_going_elsewhere() -> None:
    """Nor is a success broken by it: the score decides."""
    blame = Blame({"triage": "", "refunds": ""})
    old = make_rollout({"triage": 1, "refunds": 1}, Item("rude", False, "refunds", "rude"), score=0.5)
    for score, is_fixed, is_broken in ((0.5, False, False), (0.6, True, False), (0.4, False, True)):
        new = make_rollout({"triage": 1, "refunds": 0}, Item("fine", True, "triage", "rude"), score=score)
        assert blame.is_fixed(("refunds", "rude"), old, new) is is_fixed
        assert blame.is_broken(("refunds", "rude"), old, new) is is_broken


def test_an_answer_that_is_a_call_is_shown_with_what_became_of_it() -> None:
    """The feedback is about the answer of the workflow."""
    rollout = make_rollout({"triage": 1}, answers={"triage": ["→ transfer_to_refunds()"]})
    text = reflection_prompt("triage", "Send.", [Evidence(Example({"text": "hi"}), rollout, ())])
    assert "Answer of this step: → transfer_to_refunds()\nAnswer of the workflow: the end" in text
    several = make_rollout({"triage": 1}, answers={"triage": ['→ search(q="a")', "Found."]})
    text = reflection_prompt("triage", "Send.", [Evidence(Example({"text": "hi"}), several, ())])
    assert 'Answer of this step: \n1. → search(q="a")\n2. Found.\n' in text
    assert "the end" not in text


def test_no_call_becomes_a_demonstration() -> None:
    """A text that shows a call would teach the model to write instead of to call."""

    problem: Any = SimpleNamespace(baseline=SimpleNamespace(templates={"triage": "x"}))
    assert _answer(problem, "triage", make_rollout({"triage": 1}, answers={"triage": ["→ f()"]})) is None
    assert _answer(problem, "triage", make_rollout({"triage": 0})) is None
    assert _answer(problem, "triage", make_rollout({"triage": 1}, answers={"triage": ["→ f()", "Yes."]})) == "Yes."


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"output": "Hi"}, "Hi"),
        ({"output": "", "tool_calls": [{"name": "f", "args": '{"a": "é", "n": 1}'}]}, '→ f(a="é", n=1)'),
        ({"output": "Wait.", "tool_calls": [{"name": "f", "args": {}}, {"name": "g", "args": None}]}, "Wait.\n→ f()\n→ g()"),
        ({"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"a": [1]}'}}]}, "→ f(a=[1])"),
        ({"tool_calls": [{"name": "f", "args": "{broken"}]}, '→ f("{broken")'),
        ({"tool_calls": "nonsense", "output": None}, ""),
        ({"tool_calls": [{"name": "f", "input": {"x": object}}]}, "→ f(x="),
    ],
)
def test_calls_of_every_client_are_one_text(attributes: dict[str, Any], text: str) -> None:
    """The shapes of LangChain, Pydantic AI, OpenAI's and Anthropic's clients; what is broken is shown as it is."""
    assert answer_of(attributes).startswith(text)
    assert bool(text) == bool(answer_of(attributes))


def test_long_arguments_are_cut() -> None:
    """One by one, so that every name is seen."""
    assert call_text("f", {"a": "x" * 50, "b": 1}, 10) == '→ f(a="xxxxxxxx…, b=1)'
