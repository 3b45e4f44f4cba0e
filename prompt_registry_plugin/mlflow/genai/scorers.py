"""MLflow's scorers by name, as ours. A judge without a `model` asks `openai:/gpt-4.1-mini`, as MLflow's do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from prompt_registry_plugin.errors import InvalidExample, UserError
from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.entities import Feedback as MLflowFeedback
from prompt_registry_plugin.protocols import AnyModel
from prompt_registry_plugin.recipes import with_recipe
from prompt_registry_plugin.records import Feedback
from prompt_registry_plugin.scorers import builtin, equivalence, judges
from prompt_registry_plugin.scorers.comparing import answer_text
from prompt_registry_plugin.scorers.foreign import to_feedback
from prompt_registry_plugin.scorers.scorer import FunctionScorer
from prompt_registry_plugin.tracing.trace import Trace

DEFAULT_JUDGE = "openai:/gpt-4.1-mini"


class Expectations(dict[str, Any]):
    """A row's expectations. Where there is an `expected_response`, what texts can do is asked of it, as the guides' scorers expect."""

    def __getattr__(self, name: str) -> Any:
        expected = self.get("expected_response")
        if isinstance(expected, str) and hasattr(str, name) and not name.startswith("_"):
            return getattr(expected, name)
        raise AttributeError(
            f"expectations are a mapping with {', '.join(map(repr, self)) or 'nothing'}; there is no attribute {name!r}"
        )


class DecoratedScorer(FunctionScorer):
    """A function of any of `inputs`, `outputs`, `expectations` and `trace` that may also answer with yes and no or MLflow's feedback."""

    async def __call__(self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace) -> Any:
        """Its verdict."""
        said = await super().__call__(inputs=dict(inputs), outputs=outputs, expectations=Expectations(expectations), trace=trace)
        if isinstance(said, list):
            verdicts = [to_feedback(verdict, self.name) for verdict in said]
            return Feedback(fmean(v.score for v in verdicts), (), "; ".join(v.rationale for v in verdicts if v.rationale) or None)
        return to_feedback(said, self.name) if isinstance(said, str | MLflowFeedback) else said


def scorer(func: Callable[..., Any] | None = None, *, name: str | None = None, **more: Any) -> Any:
    """A decorator that makes a function a scorer. `description` may be given; `aggregations` and the like are not carried over."""
    if unknown := sorted(more.keys() - {"description"}):
        raise UserError(f"@scorer takes no {unknown[0]} here; give optimize_prompts an aggregation")
    return (lambda function: DecoratedScorer(function, name)) if func is None else DecoratedScorer(func, name)


@with_recipe
class Correctness(judges.Correctness):
    """Whether the answer says what is expected."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "correctness") -> None:
        super().__init__(model, name)


@with_recipe
class Equivalence(equivalence.Equivalence):
    """Whether the answer and the expected one mean the same."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "equivalence") -> None:
        super().__init__(model)
        self.name = name


@with_recipe
class Safety(judges.Safety):
    """Whether the answer is free of harm."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "safety") -> None:
        super().__init__(model, name)


@with_recipe
class Guidelines(judges.Guidelines):
    """Whether the answer keeps to rules in plain words."""

    def __init__(self, *, guidelines: str | Sequence[str], model: AnyModel = DEFAULT_JUDGE, name: str = "guidelines") -> None:
        super().__init__(guidelines, model=model, name=name)


@with_recipe
class ExpectationsGuidelines(judges.Judge):
    """Whether the answer keeps to the rules in `expectations["guidelines"]`."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "expectations_guidelines") -> None:
        super().__init__("Does the answer keep to its guidelines?", model=model, name=name)

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """The share of the row's guidelines that are kept."""
        if "guidelines" not in expectations:
            raise InvalidExample(f"{self.name} needs expectations['guidelines']")
        judge = judges.Guidelines(expectations["guidelines"], model=self._model, name=self.name)
        return await judge(inputs=inputs, outputs=outputs, expectations=expectations, trace=trace)


@with_recipe
class RelevanceToQuery(judges.Relevance):
    """Whether the answer is about what was asked."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "relevance_to_query") -> None:
        super().__init__(model, name)


@with_recipe
class RetrievalGroundedness(judges.Groundedness):
    """Whether everything that the answer claims stands in its sources."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "retrieval_groundedness") -> None:
        super().__init__(model, name)


@with_recipe
class Completeness(judges.Judge):
    """Whether the answer leaves nothing out."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "completeness") -> None:
        super().__init__("Does the answer deal with every part of what the inputs ask for?", model=model, name=name)


@with_recipe
class Fluency(judges.Judge):
    """Whether the answer reads well."""

    def __init__(self, *, model: AnyModel = DEFAULT_JUDGE, name: str = "fluency") -> None:
        super().__init__("Is the answer grammatical and natural to read?", model=model, name=name)


@with_recipe
class RegexMatch(builtin.Regex):
    """Whether a regular expression is found in the answer, or is all of it."""

    def __init__(
        self,
        *,
        pattern: str,
        match_type: Literal["search", "fullmatch"] = "search",
        case_insensitive: bool = False,
        name: str = "regex_match",
    ) -> None:
        whole = rf"\A(?:{pattern})\Z" if match_type == "fullmatch" else pattern
        super().__init__(f"(?i:{whole})" if case_insensitive else whole)
        self.name = name


@with_recipe
class ResponseLength:
    """Whether the answer has so many characters, or words."""

    def __init__(
        self,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        unit: Literal["chars", "words"] = "chars",
        name: str = "response_length",
    ) -> None:
        if min_length is None and max_length is None:
            raise UserError("ResponseLength takes min_length, max_length or both")
        self.name = name
        self._least, self._most, self._unit = min_length or 0, max_length, unit

    async def __call__(
        self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace
    ) -> Feedback:
        """1 or 0, with the length."""
        text = answer_text(outputs)
        n = len(text.split()) if self._unit == "words" else len(text)
        fits = n >= self._least and (self._most is None or n <= self._most)
        return Feedback(float(fits), rationale=f"it has {n} {self._unit}")


@with_recipe
class ToolCallCorrectness(builtin.ToolCalls):
    """How well the tools that were called are `expectations["expected_tools"]`."""

    def __init__(self, *, should_consider_ordering: bool = False, name: str = "tool_call_correctness") -> None:
        super().__init__(ordered=should_consider_ordering)
        self.name = name


def __getattr__(name: str) -> Any:
    missing("mlflow.genai.scorers", name)
