"""Answers of models as they are in practice: the whole instruction is read, or nothing; verdicts and listings likewise."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.models.answers import CutOff, is_cut_off, plain_text, without_thinking
from prompt_registry_plugin.optimize.optimizers.instruction import fence_for, read_instruction
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.retry import retry_after
from tests import simulated_target as target

QUIET = pr.RunOptions(concurrency=8, on_event=lambda event: None)
OLD = "Sort the thing into a kind.\nAnswer with one word.\nUse these labels: animal, plant.\nText: {{text}}"
NEW = (
    'Sort the thing.\nAnswer as\n```json\n{"kind": "animal"}\n```\nNever guess.\nUse these labels: animal, plant.\nText: {{text}}'
)
PLAIN = NEW.replace("```json\n", "").replace("```\n", "")

TAGGED = PLAIN + "\nFirst think in <think>…</think>."


def in_fence(text: str, mark: str = "```", info: str = "") -> str:
    """Return a text between two fences."""
    return f"{mark}{info}\n{text}\n{mark}"


READ = {
    "a fence in a fence": (in_fence(NEW), NEW),
    "a fence with a language": (in_fence(NEW, info="markdown"), NEW),
    "tildes": (in_fence(NEW, "~~~"), NEW),
    "four backticks": (in_fence(NEW, "````"), NEW),
    "Windows line ends": (in_fence(NEW).replace("\n", "\r\n"), NEW),
    "thinking with a draft": (f"<think>\nA draft:\n{in_fence('Sort.')}\nbetter:\n</think>\n{in_fence(NEW)}", NEW),
    "thinking without a start": (f"Maybe:\n{in_fence('Sort.')}\n</think>\n\n{in_fence(NEW)}", NEW),
    "thinking tags in the instruction": (in_fence(TAGGED), TAGGED),
    "a diff before": (in_fence("- one word\n+ one label", info="diff") + "\nSo:\n" + in_fence(NEW), NEW),
    "a diff after": (in_fence(PLAIN) + "\nChanges:\n" + in_fence("- one word\n+ one label", info="diff"), PLAIN),
    "an example after": (in_fence(PLAIN) + "\nIt answers:\n" + in_fence('{"kind": "plant"}', info="json"), PLAIN),
    "an example before": ("It answered\n" + in_fence('{"kind": "plant"}', info="json") + "\n" + in_fence(NEW), NEW),
    "the old one before": (f"Old:\n{in_fence(OLD, info='text')}\nNew:\n{in_fence(PLAIN, info='text')}", PLAIN),
    "a refusal before": ("I'm sorry, I can't change the labels. The rest:\n" + in_fence(NEW), NEW),
    "a refusal after": (in_fence(NEW) + "\nI'm sorry that I cannot do more.", NEW),
    "JSON": (json.dumps({"reasoning": "labels", "new_instruction": NEW}), NEW),
    "JSON in a fence": (in_fence(json.dumps({"instruction": NEW}), info="json"), NEW),
    "tags": (f"Here it is:\n<new_instruction>\n{NEW}\n</new_instruction>\nGood luck.", NEW),
    "tags around a fence": (f"<instruction>\n{in_fence(NEW)}\n</instruction>", NEW),
    "no fence": (OLD.replace("one word", "one label"), OLD.replace("one word", "one label")),
    "no fence, with a label": ("Instruction: " + OLD.replace("one word", "a label"), OLD.replace("one word", "a label")),
    "a label before the fence": (f"**New instruction:**\n{in_fence(NEW)}", NEW),
    "a label in the fence": (in_fence("Instruction: " + NEW), NEW),
}  # fmt: skip
NOT_READ = {
    "nothing": "",
    "a refusal": "I'm sorry, I cannot help with that.",
    "a refusal in a fence": in_fence("I'm sorry, I can't help with that."),
    "thinking without an end": f"<think>\nA draft:\n{in_fence(NEW)}",
    "cut off": "```\n" + NEW,
    "cut off in an inner fence": "```\n" + NEW[: NEW.index("Never")],
    "two proposals": f"{in_fence(PLAIN, info='text')}\nor\n{in_fence(NEW, info='text')}",
    "an inner fence without a language": in_fence(NEW.replace("```json", "```")),
    "only a diff": in_fence("@@ -1 +1 @@\n-a\n+b"),
    "only an example": in_fence('{"kind": "plant"}', info="json"),
    "the rest left out": in_fence("Sort the thing well.\n(the rest stays unchanged)\nText: {{text}}"),
    "dots for the rest": in_fence("Sort the thing well.\n...\nText: {{text}}"),
    "an example beside JSON": json.dumps({"instruction": NEW}) + "\n" + in_fence("animal {{text}}"),
    "an example beside the text": OLD + "\n\nFor example:\n" + in_fence("animal thing {{text}}"),
    "an answer of the step": in_fence("animal"),
    "prose": "I would sort the thing by its nature.",
    "no fence, with a remark": OLD + "\n\nI hope this helps.",
    "the first line beside the fence": "```Sort the thing.\nAnswer briefly. {{text}}\n```",
    "JSON cut off": json.dumps({"instruction": NEW})[:-9],
    "tags cut off": f"<instruction>\n{NEW}",
    "an end that is longer than the start": "```\nSort the thing.\n````\nText: {{text}}\n```",
    "an end at a fence of its own": in_fence("Sort the thing into a kind.\nAnswer as\n```\nkind\n```json\nText: {{text}}"),
}


@pytest.mark.parametrize(("answer", "meant"), READ.values(), ids=READ)
def test_the_whole_instruction_is_read(answer: str, meant: str) -> None:
    """However a model marks it."""
    assert read_instruction(answer, OLD) == (meant, "")


@pytest.mark.parametrize("answer", NOT_READ.values(), ids=NOT_READ)
def test_what_is_no_whole_instruction_is_not_read(answer: str) -> None:
    """With a reason for the model and for you."""
    text, why = read_instruction(answer, OLD)
    assert text is None
    assert why


def test_an_answer_that_was_cut_off_is_not_read() -> None:
    """Also where it ends at a fence of its own: the provider says that it was cut off, whatever it calls that."""
    whole = in_fence(PLAIN)
    assert read_instruction(CutOff(whole), OLD) == (None, "it was cut off at the model's limit of output tokens")
    for reason in ("length", "max_tokens", "MAX_TOKENS", "FinishReason.MAX_TOKENS", "max_output_tokens"):
        assert is_cut_off(reason)
    for reason in (None, "stop", "end_turn", "STOP", "tool_calls"):
        assert not is_cut_off(reason)


@pytest.mark.parametrize("optimizer", ["commit_queue", "metaprompt", "gepa"])
def test_answers_that_were_cut_off_are_counted(registry: pr.PromptRegistry, optimizer: str) -> None:
    """Every optimizer refuses them, and the run goes on."""
    cut = 0

    async def reflect(messages: Sequence[Mapping[str, Any]]) -> Reply:
        nonlocal cut
        cut += 1
        return Reply(await target.reflect(messages), finish_reason="length" if cut < 4 else "stop")

    result = pr.optimize_prompts(
        predict_fn=target.predict, train_data=target.rows(4), eval_data=[], prompt_uris=target.register(), scorers=[target.right],
        reflection_model=reflect, optimizer=optimizer, budget=80, options=QUIET,
    )  # fmt: skip
    assert result.unreadable_answers == 3
    assert "cut off at the model's limit" in str(result.unreadable_example)
    stored = registry.store.runs.reflections(result.run_id)
    assert sum(bool(record.detail.get("cut_off")) for record in stored) == 3


def test_a_piece_of_a_long_instruction_is_not_read() -> None:
    """Such as the one rule that a model would add."""
    assert read_instruction(in_fence("- new rule"), "\n".join([OLD] * 5))[0] is None


LINES = st.lists(
    st.sampled_from(
        [
            "Be kind.",
            "- one {{text}}",
            "",
            "```",
            "```json",
            "~~~",
            "````",
            '{"a": 1}',
            "<data>",
            "</think>",
            "<think>",
            "# Title",
        ]
    ),
    min_size=1,
    max_size=9,
).map(lambda lines: "\n".join(["Start here, kindly.", *lines, "End there."]))
DRAFTS = st.sampled_from(
    ["", "Sure.", "I'm sorry, but:", *(in_fence("- a", info=info) for info in ("diff", "json", "")), in_fence("x", "~~~")]
)
THOUGHTS = st.sampled_from(
    ["", f"<think>\n{in_fence('Draft.')}\n</think>", "<think>", "It may work.\n</think>", "<thinking>hm</thinking>"]
)
MARKS: st.SearchStrategy[Callable[[str], str]] = st.sampled_from(
    [
        in_fence,
        lambda text: in_fence(text, "````", "text"),
        lambda text: in_fence(text, "~~~"),
        lambda text: in_fence(text, fence_for(text)),
        lambda text: f"<instruction>\n{text}\n</instruction>",
        lambda text: json.dumps({"instruction": text}),
        lambda text: "Instruction:\n" + in_fence(text),
        lambda text: text,
    ]
)


@given(text=LINES, mark=MARKS, thought=THOUGHTS, before=DRAFTS, after=DRAFTS, cut=st.none() | st.floats(0, 1))
def test_what_is_read_is_the_whole_text_or_nothing(
    text: str, mark: Callable[[str], str], thought: str, before: str, after: str, cut: float | None
) -> None:
    """Whatever is around it, in it, and wherever the answer was cut off. The instruction before had the same fences."""
    answer = "\n".join(part for part in (thought, before, mark(text), after) if part)
    answer = answer if cut is None else answer[: int(cut * len(answer))]
    fences = [line for line in text.split("\n") if line.startswith(("```", "~~~"))]
    current = "\n".join(["Start here, kindly.", "Be good.", *fences, "End there."])
    read, _ = read_instruction(answer, current, fence_for(text))
    assert read in (None, text.strip())


@given(text=LINES)
def test_the_fence_that_is_asked_for_is_always_read(text: str) -> None:
    """It is longer than any in the text, so nothing in the text can end it. Stray tags of thinking are another matter."""
    if "think>" not in text:
        fence = fence_for(text, 4)
        assert read_instruction(f"Here:\n{in_fence(text, fence)}\nBye.", text, fence)[0] == text


def test_parts_and_none_are_answers() -> None:
    """Of a client that returns a list of parts, or nothing."""
    assert plain_text([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "a"}, "b"]) == "ab"
    assert (plain_text(None), plain_text(5), plain_text([5])) == ("", None, None)
    assert without_thinking("<think>a <think>b</think> c</think>d") == "d"


@pytest.mark.parametrize("optimizer", ["commit_queue", "metaprompt", "gepa"])
def test_bad_answers_are_counted_and_do_not_end_a_run(registry: pr.PromptRegistry, optimizer: str) -> None:
    """Every second answer is bad; the run ends with a result that counts them and shows one."""
    bad = itertools.cycle([None, "I cannot help.", "```\nSort. {{text}}", [{"type": "text", "text": "<think>hm"}]])
    turns = itertools.count()

    async def model(messages: Sequence[Mapping[str, Any]]) -> Any:
        return next(bad) if next(turns) % 2 == 0 else [{"type": "text", "text": await target.reflect(messages)}]

    result = pr.optimize_prompts(
        predict_fn=target.predict, train_data=target.rows(8), eval_data=target.rows(4, start=100), prompt_uris=target.register(),
        scorers=[target.right], reflection_model=model, budget=120, options=QUIET, optimizer=optimizer,
    )  # fmt: skip
    assert result.unreadable_answers >= 1
    assert result.unreadable_example is not None
    assert "answers not readable" in repr(result)
    run = registry.store.runs.get(result.run_id)
    assert run.result is not None
    assert run.result["unreadable_answers"] == result.unreadable_answers
    assert all("I cannot help" not in str(record.candidate.templates) for record in result.candidates)


@pytest.mark.parametrize(
    "answer",
    [
        '<think>{"verdict": "no"} or {not}?</think>{"rationale": "kind", "verdict": "yes"}',
        'Like {this}:\n```json\n{"rationale": "kind", "verdict": "yes"}\n```\nDone {}.',
    ],
)
async def test_a_verdict_is_read_after_thinking_and_among_braces(answer: str) -> None:
    """The one verdict of the answer counts."""
    judge = pr.scorers.Judge("Is it kind?", model=lambda messages: answer)
    feedback = await judge(inputs={}, outputs="hello", expectations={}, trace=None)  # type: ignore[arg-type]  # it is not read
    assert (feedback.score, feedback.rationale) == (1.0, "kind")


async def test_two_verdicts_are_none() -> None:
    """A judge that says both is asked again, and then has given none."""
    judge = pr.scorers.Judge("Is it kind?", model=lambda messages: '{"verdict": "yes"} {"verdict": "no"}')
    with pytest.raises(pr.errors.ModelUnavailable, match="no verdict that can be read"):
        await judge(inputs={}, outputs="hello", expectations={}, trace=None)  # type: ignore[arg-type]  # it is not read


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2400 07:28:00 GMT"}, 60),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "soon", "x-ratelimit-reset": "9"}, 9),
        ({"Retry-After": "1e300"}, 60),
        ({"Retry-After": "-5"}, 0),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "250ms"}, 60),
        (
            {
                "x-ratelimit-reset-requests": "20s",
                "x-ratelimit-remaining-requests": "4",
                "x-ratelimit-reset-tokens": "1.5s",
                "x-ratelimit-remaining-tokens": "0",
            },
            1.5,
        ),
        ({"anthropic-ratelimit-tokens-reset": "2400-01-01T00:00:00Z"}, 60),
        ({"anthropic-ratelimit-tokens-reset": "2015-01-01T00:00:00Z"}, 0),
        ({"X-RateLimit-Reset": "1400000000"}, 0),
        ({"ratelimit-reset": "12"}, 12),
        ({"x-ratelimit-reset": "at noon"}, None),
    ],
)
def test_a_server_says_when_to_ask_again(headers: dict[str, str], seconds: float | None) -> None:
    """In seconds, in milliseconds or as a date; what cannot be read is no wish."""
    error = RuntimeError("slow down")
    error.response = type("Response", (), {"status_code": 429, "headers": headers})()  # type: ignore[attr-defined]  # as clients do
    assert retry_after(error) == seconds


def test_a_limit_that_is_lifted_later_says_nothing_about_other_errors() -> None:
    """Servers send these headers with every response. Clients keep headers in different places."""
    error = RuntimeError("down")
    error.response = type("Response", (), {"status_code": 500, "headers": {"x-ratelimit-reset": "30"}})()  # type: ignore[attr-defined]
    assert retry_after(error) is None
    direct = type("RateLimitError", (Exception,), {"headers": {"Retry-After": "3"}})("slow down")
    assert retry_after(direct) == 3
    metadata = {"ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "4"}}}
    assert retry_after(type("ThrottlingException", (Exception,), {"response": metadata})("slow down")) == 4
