"""Answers, inputs and expectations of any type: plain data before a scorer sees them, so that no row scores 0 because of its type."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import enum
import json
import uuid
from collections import deque, namedtuple
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from pydantic import BaseModel, Field, RootModel, SecretStr, computed_field, field_serializer

import prompt_registry_plugin as pr
from prompt_registry_plugin.errors import InvalidExample, NotPlainData
from prompt_registry_plugin.masking import json_copy
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.plain.data import is_plain, plain_data
from prompt_registry_plugin.plain.fields import build
from prompt_registry_plugin.scorers.comparing import same_value

QUIET = pr.RunOptions(on_event=lambda _event: None)
DAY = datetime.date(2026, 11, 25)


class Color(enum.Enum):
    RED = "red"


class Team(str, enum.Enum):  # noqa: UP042  programs have both forms
    CARD = "card"


class Answer(BaseModel):
    label: str
    score: float = 0.5
    day: datetime.date | None = None


class Written(BaseModel):
    amount: Decimal = Field(serialization_alias="sum")
    secret: SecretStr = SecretStr("sesame")

    @computed_field
    def doubled(self) -> int:
        return int(self.amount * 2)

    @field_serializer("amount")
    def _amount(self, amount: Decimal) -> str:
        return f"{amount} EUR"


@dataclasses.dataclass
class Reply:
    label: str
    parts: set[str] = dataclasses.field(default_factory=set)
    color: Color = Color.RED


@attrs.define
class Attrs:
    label: str


class Point(NamedTuple):
    x: int
    y: int


Pair = namedtuple("Pair", "a b")

# (what the agent answers, what it is as plain data)
ANSWERS: list[tuple[Any, Any]] = [
    (Color.RED, "red"),
    (Team.CARD, "card"),
    (Answer(label="card", day=DAY), {"label": "card", "score": 0.5, "day": "2026-11-25"}),
    (Written(amount=Decimal("1.5")), {"amount": "1.5 EUR", "secret": "**********", "doubled": 3}),
    (RootModel[list[int]]([1, 2]), [1, 2]),
    (Reply("card", {"b", "a"}), {"label": "card", "parts": ["a", "b"], "color": "red"}),
    (Attrs("card"), {"label": "card"}),
    (Point(1, 2), {"x": 1, "y": 2}),
    (Pair("a", Color.RED), {"a": "a", "b": "red"}),
    (SimpleNamespace(label="card"), {"label": "card"}),
    (DAY, "2026-11-25"),
    (datetime.datetime(2026, 11, 25, 9, 30), "2026-11-25T09:30:00"),
    (datetime.time(9, 30), "09:30:00"),
    (datetime.timedelta(minutes=1.5), 90),
    (Decimal("0.10"), 0.1),
    (Decimal("12345678901234567890.5"), "12345678901234567890.5"),
    (Fraction(1, 4), 0.25),
    (Fraction(1, 3), "1/3"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Path("a/b"), "a/b"),
    (b"card", "card"),
    (b"\xff", "/w=="),
    ({"b", "a"}, ["a", "b"]),
    (frozenset({2, 1}), [1, 2]),
    (("a", 1), ["a", 1]),
    (deque([1]), [1]),
    (range(3), [0, 1, 2]),
    ({Color.RED: 1, 2: Team.CARD}, {"red": 1, "2": "card"}),
    (np.int64(3), 3),
    (np.float32(0.5), 0.5),
    (np.bool_(True), True),
    (np.str_("card"), "card"),
    (np.array([[1, 2]]), [[1, 2]]),
    (pd.Timestamp("2026-11-25"), "2026-11-25T00:00:00"),
    (pd.NaT, None),
    (pd.NA, None),
    (pd.Series([1, 2]), [1, 2]),
    (pd.DataFrame({"a": [1], "b": ["x"]}), [{"a": 1, "b": "x"}]),
    (AIMessage("card"), "card"),
    (AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "ca"}, {"type": "text", "text": "rd"}]), "card"),
    (
        AIMessage("", tool_calls=[{"name": "find", "args": {"q": 1}, "id": "x1"}]),
        {"tool_calls": [{"name": "find", "arguments": {"q": 1}}]},
    ),
    (
        AIMessage("look", tool_calls=[{"name": "find", "args": {}, "id": "x1"}]),
        {"content": "look", "tool_calls": [{"name": "find", "arguments": {}}]},
    ),
    ([HumanMessage("hi"), AIMessage("card")], "card"),
    ({"messages": [HumanMessage("hi"), AIMessage("card")]}, "card"),
    ({"messages": [AIMessage("")], "structured_response": Answer(label="card")}, {"label": "card", "score": 0.5, "day": None}),
    (
        {"messages": [HumanMessage("hi"), AIMessage("card")], "label": Color.RED},
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "card"}], "label": "red"},
    ),
    ({"raw": AIMessage("{}"), "parsed": Answer(label="a"), "parsing_error": None}, {"label": "a", "score": 0.5, "day": None}),
]


@pytest.mark.parametrize(
    ("answer", "plain"), ANSWERS, ids=[f"{i}-{type(answer).__name__}" for i, (answer, _) in enumerate(ANSWERS)]
)
def test_an_answer_is_plain_data_before_a_scorer_sees_it(answer: Any, plain: Any) -> None:
    """And `exact_match` scores 1 with the same value as expectation: as an object, as plain data, and through JSON."""
    seen: list[Any] = []

    def see(outputs: Any) -> float:
        seen.append(outputs)
        return 1.0

    for expected in (answer, plain, json.loads(json.dumps(plain))):
        row = {"inputs": {"q": "x"}, "expectations": {"expected_response": expected}}
        result = pr.evaluate(predict_fn=lambda q: answer, data=[row], scorers=["exact_match", "equivalence", see], options=QUIET)
        assert seen[-1] == plain
        assert is_plain(json.loads(json.dumps(seen[-1])))
        assert result.scores["exact_match"].mean == 1.0, (expected, result.rollouts[0])
        assert result.scores["equivalence"].mean == 1.0
        assert not result.failures
        assert result.rollouts[0].outputs == plain


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_plain_data_is_returned_equal(data: Any) -> None:
    """JSON data is left as it is, at the top and in objects; and it is the same as itself in every other form."""
    assert answer_data(data) == plain_data(data) == plain_data(data, is_input=True) == data
    assert plain_data({"value": Reply("x"), "data": data})["data"] == data
    assert same_value(data, data)
    assert same_value(data, json.loads(json.dumps(data)))


SIMPLE = (
    st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1)
    | st.integers(-(2**60), 2**60)
    | st.booleans()
    | st.dates()
    | st.datetimes()
    | st.uuids()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3)
    | st.sampled_from(list(Color))
    | st.sets(st.integers())
    | st.frozensets(st.text("abc"))
)


@given(st.dictionaries(st.text("abc", min_size=1), SIMPLE, min_size=1, max_size=4))
def test_a_value_is_the_same_as_its_plain_form(fields: dict[str, Any]) -> None:
    """Whatever types the fields of an answer have: as an object, plain, as JSON text, and as a cell of text."""
    plain = answer_data(fields)
    assert is_plain(json.loads(json.dumps(plain)))
    assert same_value(plain, fields)
    assert same_value(fields, plain)
    assert same_value(json.dumps(plain), fields)
    for value, expected in zip(fields.values(), plain.values(), strict=True):
        if not isinstance(expected, list):
            assert same_value(str(expected), value)


@given(SIMPLE, SIMPLE)
def test_different_values_are_never_the_same(one: Any, other: Any) -> None:
    """Two values of one type are the same if they are equal, and only then."""
    if type(one) is type(other):
        assert same_value(one, other) == (one == other)
        assert same_value({"a": one}, {"a": other}) == (one == other)


def test_order_counts_in_lists_and_not_in_sets() -> None:
    """A set has no order, whichever side it is on. A named tuple is a mapping, and a list of its values."""
    assert not same_value(["a", "b"], ["b", "a"])
    assert same_value(["b", "a"], answer_data({"b", "a"}))
    assert not same_value(["b", "a", "a"], answer_data({"b", "a"}))
    assert same_value([1, 2], answer_data(Point(1, 2)))
    assert not same_value([2, 1], answer_data(Point(1, 2)))
    assert same_value({"y": 2, "x": 1}, answer_data(Point(1, 2)))


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("1.50", 1.5, True),
        ("1.5", 1.51, False),
        ("9007199254740993", 9007199254740992, False),
        (True, 1, False),
        ("true", True, True),
        ("True", True, True),
        ("1", True, False),
        ("null", None, True),
        ("2026-11-25T00:00:00Z", "2026-11-25T00:00:00+00:00", True),
        ("2026-11-25", "2026-11-26", False),
        ('{"a": 1}', {"a": 1}, True),
        ({"a": 1}, '```json\n{"a": 1.0}\n```', True),
        ({"a": 1}, {"a": 1, "b": None}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("card", {"text": "card"}, True),
        ("card", {"text": "loan"}, False),
        ("card", {"text": "card", "why": "x"}, False),
        ("card", {"role": "assistant", "content": "card"}, True),
        ("card", {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "card"}], "n": 1}, True),
        ({"name": "f", "args": {"a": 1}}, {"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}, True),
        ([{"name": "f", "args": {"a": 1}, "id": "z", "type": "tool_call"}], [{"name": "f", "arguments": '{"a": 1}'}], True),
        ({"name": "f", "args": {"a": 1}}, {"tool_calls": [{"name": "g", "arguments": {"a": 1}}]}, False),
        ("card", "Card", False),
    ],
)
def test_forms_of_a_value(wanted: Any, got: Any, same: bool) -> None:
    """Text is compared with the value that it writes, and a structure with the text in it."""
    assert same_value(wanted, got) is same
    assert same_value(got, wanted) is same


def test_text_scorers_and_structures(caplog: pytest.LogCaptureFixture) -> None:
    """A structure with one text is that text. Another beside a text is said to be one, in the item and once in the log."""

    def run(answer: Any, scorer: str, **expectations: Any) -> pr.EvaluationResult:
        row = {"inputs": {"q": "x"}, "expectations": expectations}
        return pr.evaluate(predict_fn=lambda q: answer, data=[row], scorers=[scorer], options=QUIET)

    one = SimpleNamespace(text="the plastic card")
    for name in ("exact_match", "normalized_match", "token_f1", "edit_similarity", "equivalence", "contains"):
        assert run(one, name, expected_response="the plastic card").score.mean == 1.0, name
    assert run(Answer(label="card"), "exact_match", label="card", score=0.5).score.mean == 1.0
    assert run(Answer(label="card"), "exact_match", label="loan", score="0.5").score.mean == 0.5
    wrong = run(Answer(label="card"), "exact_match", expected_response="card").rollouts[0].scores["exact_match"]
    assert "One is a text and the other a structure" in wrong.items[0].text
    assert caplog.text.count("One is a text and the other a structure") == 1
    assert run(Decimal("2.50"), "numeric", expected_response=2.5).score.mean == 1.0
    assert run(Answer(label="card"), "json_equal", expected_response={"label": "card", "score": 0.5}).score.mean == 1.0
    calls = AIMessage("", tool_calls=[{"name": "find", "args": {"q": 1}, "id": "x1"}])
    assert run(calls, "tool_calls", expected_tools=[{"name": "find", "arguments": {"q": 1}}]).score.mean == 1.0
    assert run(calls, "tool_calls", expected_tools=["search"]).score.mean == 0.0


class Opaque:
    """An object that says nothing about itself."""


def circle() -> Any:
    made: list[Any] = [1]
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Opaque(), r"The answer is of the type .*Opaque, which has no plain form"),
        ({"a": [1, Opaque()]}, r"The answer\.a\[1\] is of the type .*Opaque"),
        (Reply("x", {lambda: 1}), r"The answer\.parts\[0\] is of the type function"),  # type: ignore[arg-type]
        (Opaque, "The answer is of the type type"),
        (asyncio.Lock(), "The answer is of the type asyncio.locks.Lock"),
        (circle(), r"The answer\[1\] holds itself"),
        ({1: "a", "1": "b"}, "Two keys of The answer are both '1'"),
    ],
)
def test_an_answer_without_a_plain_form_is_a_failed_rollout(answer: Any, said: str) -> None:
    """Its error names the type, its place, and what to do. Nothing is scored."""
    answers = iter(["fine", answer])
    rows = [{"inputs": {"n": n}} for n in range(2)]
    options = pr.RunOptions(concurrency=1, on_event=lambda _event: None)
    result = pr.evaluate(predict_fn=lambda n: next(answers), data=rows, scorers=["length"], options=options)
    [failed] = result.failures
    assert failed.scores == {}
    assert failed.error is not None
    with pytest.raises(NotPlainData, match=said):
        answer_data(answer)
    assert failed.error.startswith("NotPlainData: ")
    if "keys" not in said and "itself" not in said:
        assert "pass a function that calls it" in failed.error
    with pytest.raises(pr.errors.TargetFailed, match="NotPlainData"):
        pr.evaluate(predict_fn=lambda n: answer, data=rows, scorers=["length"], options=options)


def pieces() -> Iterator[str]:
    yield "ca"
    yield pr.load_prompt("piece").format()


def generator(q: str) -> Iterator[str]:
    yield from pieces()


async def agenerator(q: str) -> AsyncIterator[str]:
    for piece in pieces():
        yield piece


def chunks(q: str) -> Iterator[AIMessageChunk]:
    for piece in pieces():
        yield AIMessageChunk(piece)


async def returns_async_generator(q: str) -> AsyncIterator[str]:
    return agenerator(q)


@pytest.mark.parametrize(
    "function",
    [
        generator,
        agenerator,
        chunks,
        lambda q: pieces(),
        lambda q: agenerator(q),
        returns_async_generator,
        lambda q: iter(list(pieces())),
        lambda q: map(str, pieces()),
    ],
)
def test_a_generator_is_collected(function: Callable[..., Any]) -> None:
    """Its texts are joined, and what it does while it runs counts: the candidate that it renders is in force."""
    pr.register_prompt("piece", "xx")
    row = {"inputs": {"q": "x"}, "expectations": {"expected_response": "card"}}
    result = pr.evaluate(predict_fn=function, data=[row], scorers=["exact_match"], prompts={"piece": "rd"}, options=QUIET)
    assert result.rollouts[0].outputs == "card"
    assert result.score.mean == 1.0
    assert result.rollouts[0].renders == {"piece": 1}


def test_a_generator_of_other_items_is_a_list_and_one_that_raises_fails() -> None:
    """Items are plain data as well. An endless one fails with a reason."""

    def items(q: str) -> Iterator[Any]:
        yield Reply("a")
        yield Color.RED

    def breaks(q: str) -> Iterator[str]:
        yield "a"
        raise ConnectionError("gone")

    def endless(q: str) -> Iterator[int]:
        while True:
            yield 1

    rows = [{"inputs": {"q": "x"}}]
    found = pr.evaluate(predict_fn=items, data=rows, scorers=["length"], options=QUIET)
    assert found.rollouts[0].outputs == [{"label": "a", "parts": [], "color": "red"}, "red"]
    with pytest.raises(pr.errors.TargetFailed, match="gone"):
        pr.evaluate(predict_fn=breaks, data=rows, scorers=["length"], options=pr.RunOptions(attempts=1, on_event=lambda _: None))
    with pytest.raises(pr.errors.TargetFailed, match="more than 100,000 items"):
        pr.evaluate(predict_fn=endless, data=rows, scorers=["length"], options=QUIET)


def test_inputs_and_expectations_of_any_type() -> None:
    """A model or dataclass as `inputs`, a row with a date, an object as a row; and a data set keeps what they are as plain data."""

    class Case(BaseModel):
        inputs: Answer
        expectations: dict[str, Any]

    rows: list[Any] = [
        {"inputs": Answer(label="x", day=DAY), "expectations": {"expected_response": Color.RED}},
        {"inputs": Reply("y", {"b", "a"}), "expectations": Attrs("z")},
        {"inputs": {"day": DAY, "amount": Decimal("1.5"), "n": np.int64(3)}, "outputs": AIMessage("card")},
        Case(inputs=Answer(label="x"), expectations={"expected_response": Point(1, 2)}),
        pr.Example({"day": DAY, "n": Decimal(5)}),
    ]
    dataset = pr.register_dataset("d", rows)
    assert [dict(example.inputs) for example in dataset] == [
        {"label": "x", "score": 0.5, "day": "2026-11-25"},
        {"label": "y", "parts": ["a", "b"], "color": "red"},
        {"day": "2026-11-25", "amount": 1.5, "n": 3},
        {"label": "x", "score": 0.5, "day": None},
        {"day": "2026-11-25", "n": 5},
    ]
    assert [dict(example.expectations) for example in dataset] == [
        {"expected_response": "red"},
        {"label": "z"},
        {"expected_response": "card"},
        {"expected_response": {"x": 1, "y": 2}},
        {},
    ]
    with pytest.raises(InvalidExample, match=r"row 1 of data is not JSON data: inputs\.lock is of the type asyncio\.locks\.Lock"):
        pr.evaluate(predict_fn=lambda lock: 1, data=[{"inputs": {"lock": asyncio.Lock()}}], scorers=["length"])
    frame = pd.DataFrame(
        {
            "q": ["a", "b"],
            "day": [pd.Timestamp("2026-11-25"), pd.NaT],
            "tags": [np.array([1, 2]), None],
            "n": pd.array([1, pd.NA]),
        }
    )
    seen: list[dict[str, Any]] = []
    pr.evaluate(predict_fn=lambda **row: seen.append(row) or "x", data=frame, scorers=["length"], options=pr.RunOptions(1))
    assert seen[1] == {"q": "b"}
    assert seen[0] == {"q": "a", "day": "2026-11-25T00:00:00", "tags": [1, 2], "n": 1}


def test_messages_as_inputs_keep_what_a_framework_needs() -> None:
    """Ids of tool calls, and images: LangChain reads them as the messages that they were."""
    from langchain_core.messages import convert_to_messages

    history = [
        HumanMessage(
            [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
        ),
        AIMessage("", tool_calls=[{"name": "find", "args": {"q": 1}, "id": "x1"}]),
        ToolMessage("found", tool_call_id="x1"),
    ]
    [example] = pr.register_dataset("d", [{"inputs": {"messages": history}}])
    again = convert_to_messages(example.inputs["messages"])
    assert [message.content for message in again] == [message.content for message in history]
    assert again[1].tool_calls[0]["id"] == "x1"  # type: ignore[union-attr]
    assert again[2].tool_call_id == "x1"  # type: ignore[union-attr]


def wise(q: str, model: str) -> Any:
    pr.load_prompt("p").format()
    return Answer(label=q, day=DAY) if model == "a" else {"label": q, "day": "2026-11-25", "score": 0.5}


def test_migrations_take_structured_answers() -> None:
    """The source model's answers become expectations, and the target model's are compared with them."""
    pr.register_prompt("p", "Answer.")
    rows = [{"inputs": {"q": f"question {n}"}} for n in range(12)]
    result = pr.migrate_prompts(
        ["prompts:/p/1"], predict_fn=wise, train_data=rows, from_model="a", to_model="b", options=QUIET,
        reflection_model=lambda messages: "no", budget=40,
    )  # fmt: skip
    assert result.optimization.held_out is None or result.optimization.held_out.before.score.mean == 1.0
    assert result.prompts[0].changed is False


def test_typed_objects_from_plain_data() -> None:
    """What plain data is made from can be made again."""
    assert build(Answer, {"label": "x", "day": "2026-11-25"}) == Answer(label="x", day=DAY)
    assert build(Reply, {"label": "x", "color": "red"}) == Reply("x", set(), Color.RED)
    assert build(Color, "RED") is Color.RED
    assert build(datetime.date | None, "2026-11-25") == DAY
    assert build(datetime.timedelta, 90) == datetime.timedelta(seconds=90)
    assert build(Decimal, 0.1) == Decimal("0.1")
    assert build(dict[str, int], {"a": 1}) == {"a": 1}
    assert build(Attrs, {"label": "x", "more": 1}) == Attrs("x")
    with pytest.raises(ValueError, match="blue"):
        build(Color, "blue")


@pytest.mark.parametrize(
    "answer", [Answer(label="card", day=DAY), Reply("card", {"a"}), Color.RED, DAY, Point(1, 2), Attrs("x"), Decimal("1.5")]
)
def test_rows_from_traces_have_the_form_of_answers(answer: Any) -> None:
    """What a traced function took and returned, as objects, is a row on which the same agent scores 1."""

    @pr.trace
    def agent(q: str) -> Any:
        return answer

    with pr.record("production"):
        agent("x")
    pr.current_registry().flush()
    rows = pr.Dataset.from_traces(pr.search_traces(name="production"))
    result = pr.evaluate(predict_fn=agent, data=rows, scorers=["exact_match"], options=QUIET)
    assert result.score.mean == 1.0, result.rollouts[0]


def test_feedback_and_labelled_rows_of_any_type() -> None:
    """What people expect of a trace, and answers that a judge is measured with."""
    with pr.record("production") as trace:
        pass
    pr.current_registry().flush()
    said = pr.log_feedback(trace.id, Color.RED, expectations={"day": DAY, "expected_response": AIMessage("card")})
    assert (said.value, said.expectations) == ("red", {"day": "2026-11-25", "expected_response": "card"})
    with pytest.raises(pr.UserError, match=r"feedback is JSON data: expectations\.lock is of the type"):
        pr.log_feedback(trace.id, expectations={"lock": asyncio.Lock()})

    @pr.scorer
    def is_card(outputs: Any) -> bool:
        return bool(outputs == {"label": "card"})

    rows: list[dict[str, Any]] = [{"outputs": Attrs("card"), "label": True}, {"outputs": {"label": "loan"}, "label": False}]
    assert pr.scorers.judge_agreement(is_card, rows).accuracy == 1.0
    with pytest.raises(InvalidExample, match="'outputs' of row 1: The answer is of the type"):
        pr.scorers.judge_agreement(is_card, [{"outputs": Opaque(), "label": True}])


REMOTE = """
from dataclasses import dataclass
from datetime import date
import prompt_registry_plugin as pr
@dataclass
class Deps:
    customer: str
@dataclass
class Answer:
    said: str
    day: date
def answer(question, deps: Deps):
    return Answer(f"{question} {deps.customer}", date(2026, 11, 25))
support = pr.target(answer, deps=Deps)
"""


def test_answers_that_cross_a_border(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """An executor gets JSON text: a typed target in a file, inputs with a date, and an answer that is scored where it is made."""
    from prompt_registry_plugin.evaluation.remote import perform
    from prompt_registry_plugin.evaluation.remote_work import RemoteWork
    from prompt_registry_plugin.plugins import create_plugin_manager

    class Here:
        async def run(self, work: str, candidate: str, example: str) -> str:
            assert RemoteWork.from_json(work).predict_fn == "remote_agent.py:support"
            return await asyncio.to_thread(perform, work, candidate, example)

        def close(self) -> None:
            pass

    class Plugin:
        @pr.hookimpl
        def prompt_registry_executor(self, name: str) -> Any:
            return Here() if name == "here" else None

    (tmp_path / "remote_agent.py").write_text(REMOTE)
    rows = [
        {
            "inputs": {"question": str(n), "customer": "Ann"},
            "expectations": {"expected_response": {"said": f"{n} Ann", "day": DAY}},
        }
        for n in range(3)
    ]
    options = pr.RunOptions(executor="here", on_event=lambda _event: None)
    with pr.PromptRegistry(registry.url, plugins=create_plugin_manager(Plugin())) as opened, pr.use_registry(opened):
        result = pr.evaluate(predict_fn="remote_agent.py:support", data=rows, scorers=["exact_match"], options=options)
    assert result.score.mean == 1.0, result.rollouts
    assert result.rollouts[2].outputs == {"said": "2 Ann", "day": "2026-11-25"}


@pytest.mark.parametrize("number", ["1E+999999999", "-7E+99999", "1E-999999999"])
def test_a_decimal_of_many_digits_is_text_at_once(number: str) -> None:
    """A model may write it. To count its digits out would hold up the agent for minutes, or take all memory."""
    assert plain_data(Decimal(number)) == number
    assert json_copy({"amount": Decimal(number)}) == {"amount": number}  # as a recording copies it, while the agent waits
