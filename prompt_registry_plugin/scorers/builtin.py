"""Scorers that need no model. Most compare the answer with `expectations["expected_response"]`.

Name them as strings (`scorers=["contains"]`). Those with settings are classes; their names as strings use the defaults.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from prompt_registry_plugin.errors import InvalidExample, InvalidScore, NotPlainData, PluginError, UserError, needs_extra
from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.frozen import json_or_text
from prompt_registry_plugin.moved import forward_old_names
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.plain.messages import named_call
from prompt_registry_plugin.recipes import with_recipe
from prompt_registry_plugin.records import EMPTY, Feedback, Item
from prompt_registry_plugin.scorers.comparing import answer_text, is_structure_beside_text, same_value, text_beside
from prompt_registry_plugin.scorers.scorer import scorer
from prompt_registry_plugin.tracing.calls import calls_of
from prompt_registry_plugin.tracing.trace import Trace

_TWO_FORMS = "One is a text and the other a structure: expect the fields of the answer by their names, or answer with a text."
_NEGATIVE = re.compile(r"-\d")
_NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?")


def words_of(value: Any) -> list[str]:
    """Return the words of an answer, in lower case and without punctuation around them. Signs (`+`, `👍`, a minus) stay."""
    words = (_strip_punctuation(word) for word in unicodedata.normalize("NFC", answer_text(value)).casefold().split())
    return [word for word in words if word]


def _strip_punctuation(word: str) -> str:
    start, end = 0, len(word)
    while end > start and unicodedata.category(word[end - 1]).startswith("P"):
        end -= 1
    while start < end and unicodedata.category(word[start]).startswith("P") and not _NEGATIVE.match(word, start):
        start += 1
    return word[start:end]


def same_words(one: Any, other: Any) -> bool:
    """Return whether two answers have the same words, or are the same value. If they have no words, whether they are the same text."""
    if same_value(one, other):
        return True
    one, other = text_beside(one, other), text_beside(other, one)
    mine, theirs = words_of(one), words_of(other)
    return mine == theirs if mine or theirs else one.strip() == other.strip()


def require_expected(expectations: Mapping[str, Any], name: str) -> Any:
    """Return the expected response. Raise `InvalidExample`, with the name of the scorer, if it is missing."""
    if "expected_response" not in expectations:
        raise InvalidExample(f"{name} needs expectations['expected_response']")
    return expectations["expected_response"]


def shared_words(mine: Sequence[str], theirs: Sequence[str]) -> float:
    """Return the F1 measure of the words that two texts share, counted with repetitions, as SQuAD scores answers."""
    if not mine and not theirs:
        return 1.0
    shared = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * shared / (len(mine) + len(theirs)) if shared else 0.0


@scorer
def exact_match(outputs: Any, expectations: Mapping[str, Any]) -> Feedback:
    """Compare with `expectations["expected_response"]` or, if the answer is a mapping, field by field.

    The score is the share of equal fields. Surrounding whitespace is ignored.
    """
    if "expected_response" in expectations:
        pairs = {"answer": (expectations["expected_response"], outputs)}
    elif (fields := _fields_of(outputs)) and (shared := [key for key in expectations if key in fields]):
        pairs = {key: (expectations[key], fields[key]) for key in shared}
    else:
        raise InvalidExample(
            "exact_match needs expectations['expected_response'], or expectations named like the answer's fields"
        )
    items = [_compare_field(key, wanted, got) for key, (wanted, got) in pairs.items()]
    return Feedback(sum(item.ok for item in items) / len(items), items)


def _compare_field(key: str, wanted: Any, got: Any) -> Item:
    ok = same_value(wanted, got)
    said = f"{key} is {wanted!r}" if ok else f"{key} should be {wanted!r} but was {got!r}"
    if not ok and is_structure_beside_text(wanted, got):
        said += f". {_TWO_FORMS}"
        warn_once(f"exact_match compares {_kind(wanted)} with {_kind(got)}. {_TWO_FORMS}", "exact_match of two forms")
    return Item(said, ok, key=f"{key}={wanted}")


def _fields_of(outputs: Any) -> Mapping[str, Any]:
    """Return the fields of an answer, whatever object has them; none if it is not a structure."""
    try:
        found = answer_data(outputs)
    except NotPlainData:
        return EMPTY
    return found if isinstance(found, Mapping) else EMPTY


def _kind(value: Any) -> str:
    return "a text" if isinstance(value, str) else f"a structure ({', '.join(value) if isinstance(value, Mapping) else 'a list'})"


@scorer
def normalized_match(outputs: Any, expectations: Mapping[str, Any]) -> Feedback:
    """Score 1 if the answer is the expected one, ignoring case, whitespace and punctuation."""
    wanted = require_expected(expectations, "normalized_match")
    return _verdict(same_words(wanted, outputs), f"be {answer_text(wanted)!r}", outputs, f"answer={answer_text(wanted)}")


@scorer
def contains(outputs: Any, expectations: Mapping[str, Any]) -> Feedback:
    """Score the share of the expected texts (`expected_facts`, or `expected_response`) in the answer, ignoring case."""
    wanted = expectations.get("expected_facts", expectations.get("expected_response"))
    if wanted is None:
        raise InvalidExample("contains needs expectations['expected_facts'] or expectations['expected_response']")
    facts = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Sequence) else list(wanted)
    said = answer_text(outputs).casefold()
    items = []
    for fact in facts:
        ok = answer_text(fact).casefold() in said
        items.append(
            Item(f"{'it says' if ok else 'it should say'} {answer_text(fact)!r}", ok, key=f"says {answer_text(fact)}"[:80])
        )
    return Feedback(sum(item.ok for item in items) / len(items) if items else 1.0, items)


@scorer
def json_equal(outputs: Any, expectations: Mapping[str, Any]) -> Feedback:
    """Score 1 if the answer is the same JSON as the expected one, ignoring the order of keys. Strings are parsed first."""
    said = require_expected(expectations, "json_equal")
    try:
        wanted = _parse_json(said)
    except ValueError as error:
        raise InvalidExample(f"json_equal needs JSON in expectations['expected_response']: {error}") from error
    try:
        got = _parse_json(outputs)
    except ValueError as error:
        return Feedback(0.0, [Item(f"the answer is not JSON: {error}", False, key="json")])
    return _verdict(same_value(wanted, got), f"equal {answer_text(wanted)}", outputs, "json")


@scorer
def token_f1(outputs: Any, expectations: Mapping[str, Any]) -> Feedback:
    """Score the F1 measure of the words that the answer and the expected answer share."""
    wanted = require_expected(expectations, "token_f1")
    wanted, outputs = text_beside(wanted, outputs), text_beside(outputs, wanted)
    score = shared_words(words_of(wanted), words_of(outputs))
    return Feedback(score, rationale=None if score == 1 else f"expected {answer_text(wanted)!r}, got {answer_text(outputs)!r}")


@scorer
def edit_similarity(outputs: Any, expectations: Mapping[str, Any]) -> Feedback:
    """Score 1 minus the normalized edit distance (Levenshtein) to the expected answer. Needs the extra `scorers`."""
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise PluginError("rapidfuzz is not installed: pip install 'prompt-registry-plugin[scorers]'") from error
    wanted = require_expected(expectations, "edit_similarity")
    wanted, outputs = text_beside(wanted, outputs), text_beside(outputs, wanted)
    score = 1.0 if same_value(wanted, outputs) else Levenshtein.normalized_similarity(wanted, outputs)
    return Feedback(score, rationale=None if score == 1 else f"expected {answer_text(wanted)!r}, got {answer_text(outputs)!r}")


@with_recipe
class Regex:
    """Scores 1 if a regular expression matches somewhere in the answer."""

    def __init__(self, pattern: str) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise UserError(f"{pattern!r} is no regular expression: {error}") from error
        self.name = "regex"

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return the feedback."""
        return _verdict(
            self._pattern.search(answer_text(outputs)) is not None, f"match {self._pattern.pattern!r}", outputs, "regex"
        )


@with_recipe
class JSONSchema:
    """Scores 1 if the answer is valid by a JSON Schema. A string is parsed first. Each violation is an item."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        with needs_extra("schemas", "the scorer JSONSchema needs"):
            from jsonschema import SchemaError
            from jsonschema.validators import validator_for

        kind = validator_for(dict(schema))
        try:
            kind.check_schema(dict(schema))
        except SchemaError as error:
            raise UserError(f"this is no JSON Schema: {error.message}") from error
        self._validator = kind(dict(schema))
        self.name = "json_schema"

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return the feedback."""
        try:
            parsed = _parse_json(outputs)
        except ValueError as error:
            return Feedback(0.0, [Item(f"the answer is not JSON: {error}", False, key="json")])
        wrong = [
            Item(f"{error.json_path}: {error.message}", False, key=f"schema {error.json_path}")
            for error in self._validator.iter_errors(parsed)
        ]
        return Feedback(float(not wrong), wrong or [Item("it fits the schema", True, key="schema")])


@with_recipe
class Numeric:
    """Scores 1 if the last number in the answer is the expected one.

    It may differ by `tolerance`, a share of the expected number, or by `absolute`.
    """

    def __init__(self, tolerance: float = 0.0, absolute: float = 1e-9) -> None:
        self._tolerance, self._absolute = tolerance, absolute
        self.name = "numeric"

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return the feedback."""
        wanted, got = _last_number(require_expected(expectations, "numeric")), _last_number(outputs)
        if wanted is None:
            raise InvalidExample("numeric needs a number in expectations['expected_response']")
        ok = got is not None and abs(got - wanted) <= max(self._absolute, self._tolerance * abs(wanted))
        return _verdict(ok, f"be {wanted:g}", outputs, "number")


@with_recipe
class Length:
    """Scores 1 up to `max_words` words, above that `max_words` divided by the number of words."""

    def __init__(self, max_words: int = 100) -> None:
        self._most = max_words
        self.name = "length"

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return the feedback."""
        n = len(answer_text(outputs).split())
        item = Item(f"it has {n} words, {self._most} may be", n <= self._most, key="length")
        return Feedback(min(1.0, self._most / n if n else 1.0), [item])


@with_recipe
class Latency:
    """Scores 1 up to `seconds` for the call, above that `seconds` divided by its duration."""

    def __init__(self, seconds: float = 5.0) -> None:
        self._most = seconds
        self.name = "latency"

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return the feedback."""
        took = trace.seconds
        return Feedback(min(1.0, self._most / took if took > 0 else 1.0), rationale=f"{took:.2f} seconds, {self._most:g} may be")


@with_recipe
class Cost:
    """Scores 1 up to `dollars` (US) for the model calls of a trace, above that `dollars` divided by their cost.

    Raises `InvalidScore` if the price of a model is unknown. Pass it as `RunOptions(prices=…)`.
    """

    def __init__(self, dollars: float) -> None:
        if not dollars > 0:
            raise UserError(f"a cost is compared with a number of US dollars above 0, not {dollars!r}")
        self._most = dollars
        self.name = "cost"

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return the feedback."""
        calls = [span for span in trace.spans if span.kind == "llm"]
        if not calls:
            raise InvalidScore("no model call was recorded, so there is no cost: is the framework's adapter enabled?")
        if unknown := [span for span in calls if "cost" not in span.attributes]:
            raise InvalidScore(
                f"the price of {unknown[0].attributes.get('model', unknown[0].name)!r} is not known; give RunOptions(prices=…)"
            )
        spent = sum(span.attributes["cost"] for span in calls)
        return Feedback(min(1.0, self._most / spent if spent else 1.0), rationale=f"${spent:.6f}, ${self._most:g} may be")


@with_recipe
class ToolCalls:
    """Compares the tools that were called with `expectations["expected_tools"]`: names, or mappings with `name` and `arguments`.

    The score is the length of the longest common subsequence, divided by the length of the longer list. With `ordered=False`, the
    order is ignored.
    """

    def __init__(self, *, ordered: bool = True) -> None:
        self._ordered = ordered
        self.name = "trajectory" if ordered else "tool_calls"

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """Return the feedback, with an item for each missing and each unexpected tool."""
        if "expected_tools" not in expectations:
            raise InvalidExample(f"{self.name} needs expectations['expected_tools']")
        wanted = [tool if isinstance(tool, Mapping) else {"name": tool} for tool in expectations["expected_tools"]]
        made = _tool_calls(trace) or _answered_calls(outputs)  # the answer is the call, where an agent leaves it to its caller
        same = _count_in_order(wanted, made) if self._ordered else _count_in_any_order(wanted, made)
        names, called = Counter(tool["name"] for tool in wanted), Counter(tool["name"] for tool in made)
        items = [Item(f"tool {name} should be called", called[name] >= n, key=f"tool {name}") for name, n in names.items()]
        items += [Item(f"tool {name} should not be called", False, key=f"tool {name}") for name in called.keys() - names.keys()]
        longest = max(len(wanted), len(made))
        return Feedback(same / longest if longest else 1.0, items)


def _answered_calls(outputs: Any) -> list[dict[str, Any]]:
    """Return the tool calls in an answer, each with its name and arguments."""
    found = outputs.get("tool_calls") if isinstance(outputs, Mapping) else outputs
    calls = found if isinstance(found, list) else [found]
    return [call for each in calls if isinstance(each, Mapping) and (call := named_call(each)) is not None]


def _tool_calls(trace: Trace) -> list[dict[str, Any]]:
    """Return the tools that ran, or, where nothing records tools, such as below a bare client, those that models called."""
    ran = [{"name": span.name, "arguments": span.attributes.get("inputs")} for span in trace.spans if span.kind == "tool"]
    if ran:
        return ran
    called = [call for span in trace.spans if span.kind == "llm" for call in calls_of(span.attributes)]
    return [{"name": name, "arguments": json_or_text(arguments)} for name, arguments in called]


def _matches_tool(wanted: Mapping[str, Any], made: Mapping[str, Any]) -> bool:
    return wanted["name"] == made["name"] and ("arguments" not in wanted or same_value(wanted["arguments"], made["arguments"]))


def _count_in_order(wanted: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(made) + 1)
    for one in wanted:
        above = row
        row = [0]
        for i, other in enumerate(made):
            row.append(above[i] + 1 if _matches_tool(one, other) else max(above[i + 1], row[i]))
    return row[-1]


def _count_in_any_order(wanted: Sequence[Mapping[str, Any]], made: Sequence[Mapping[str, Any]]) -> int:
    """Return how many of the calls match a wanted tool, each wanted tool once."""
    left = list(made)
    for one in wanted:
        found = next((other for other in left if _matches_tool(one, other)), None)
        if found is not None:
            left.remove(found)
    return len(made) - len(left)


def _verdict(ok: bool, wanted: str, got: Any, key: str) -> Feedback:
    said = f"it does {wanted}" if ok else f"it should {wanted} but was {answer_text(got)!r}"
    return Feedback(float(ok), [Item(said, ok, key=key[:80])])


def _parse_json(value: Any) -> Any:
    """Return a value as JSON data; a string is parsed, without a Markdown fence around it. Raise `ValueError` if invalid."""
    if not isinstance(value, str):
        return answer_data(value)
    fenced = re.search(r"```(?:json)?\s*\n(.*?)```", value, re.S)
    try:
        return json.loads(fenced[1] if fenced else value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _last_number(value: Any) -> float | None:
    """Return the last number in an answer, or None."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    found = _NUMBER.findall(answer_text(value))
    return float(found[-1].replace(",", "")) if found else None


forward_old_names(__name__)
