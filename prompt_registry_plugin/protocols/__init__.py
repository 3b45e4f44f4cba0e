"""The interfaces that third parties implement: stores, models, targets, scorers, optimizers, adapters, importers and executors.

Everything is structural: a class with these members is one, with nothing to inherit from. Stores are in `protocols.store` and
`protocols.runs`; every name can be imported from here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from prompt_registry_plugin.plain.messages import text_or_calls
from prompt_registry_plugin.protocols.runs import CandidateRecord, ReflectionRecord, RunRecord, RunTable
from prompt_registry_plugin.protocols.store import (
    Adopted,
    DatasetTable,
    NewMove,
    NewVersion,
    PromptStore,
    PromptTable,
    Store,
    TraceTable,
)
from prompt_registry_plugin.records import Candidate, Usage
from prompt_registry_plugin.tracing.trace import Trace


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer."""

    text: str
    """The text of the answer."""
    usage: Usage = field(default_factory=Usage)
    """Tokens of the call; zero where the model does not report them."""
    tool_calls: Sequence[Mapping[str, Any]] = ()
    """The tools that the model wants called: mappings of `name` and `arguments`."""
    finish_reason: str | None = None
    """Why the answer ended, as the provider says: `stop`, or `length` if it was cut off; None where the model does not report it."""

    @property
    def answer(self) -> Any:
        """The text; with tool calls, a mapping of `tool_calls` and, if there is text too, `content`."""
        return text_or_calls(self.text, self.tool_calls)


@runtime_checkable
class Model(Protocol):
    """A chat model."""

    name: str
    """How traces, prices and messages name it."""
    simulated: bool
    """Whether it only imitates a model; reports and pages then call it simulated."""

    async def __call__(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> Reply:
        """Return the answer to `messages`. Raises `ModelUnavailable` when the model gives none."""

    async def check(self) -> None:
        """Raise `ModelUnavailable` or `UserError` when a call would certainly fail; costs nothing."""


@runtime_checkable
class StreamingModel(Protocol):
    """A model that can also stream its answer."""

    def stream(self, messages: Sequence[Mapping[str, Any]], **params: Any) -> AsyncIterator[str | Usage | Mapping[str, Any]]:
        """Yield the pieces of the answer as they come, then tool calls, then the tokens of the call, where they are known.

        A tool call is a mapping of `name` and `arguments`.
        """


@runtime_checkable
class Target(Protocol):
    """What is evaluated: a function, chain, graph or agent that takes the inputs of one example and answers."""

    name: str
    """How reports name it."""

    async def __call__(self, inputs: Mapping[str, Any]) -> Any:
        """Return the answer for one example. An exception is recorded as a failed rollout."""

    def check(self, inputs: Mapping[str, Any]) -> str | None:
        """Return why the target cannot take these inputs, or None; runs nothing."""


class Scorer(Protocol):
    """A function that scores one answer; `prompt_registry_plugin.scorer` makes one of a plain function."""

    name: str
    """The name of its score in results."""

    async def __call__(self, *, inputs: Mapping[str, Any], outputs: Any, expectations: Mapping[str, Any], trace: Trace) -> Any:
        """Return a number, a bool, a `Score` or a `Feedback`."""


@dataclass(frozen=True, slots=True)
class OptimizationResult:
    """The result of a search."""

    best: Candidate
    """The best candidate that the search found; the baseline if no other was better."""
    score: float | None = None
    """The search's own estimate of its mean score, or None. The search chose by it, so the held-out test is what counts."""


class Optimizer(Protocol):
    """A search for better prompts: pass one as `optimizer=`, or offer it by name with the hook `prompt_registry_optimizers`.

    It keeps no state between optimization runs: a resumed one starts from `problem.history` and from stored rollouts. A class that
    inherits from this one has the defaults of both traits; any other class declares them.
    """

    name: str
    """The name that optimization runs are listed with."""
    reflects: bool = True
    """Whether it may ask the reflection model. If False, an optimization run needs no `reflection_model`."""
    needs_data: bool = True
    """Whether it needs training examples. If False, it also works with `train_data=None`."""

    async def optimize(self, problem: Any) -> OptimizationResult:
        """Search for better texts than those of `problem.baseline`, and return the best candidate.

        `problem` is a `prompt_registry_plugin.Problem`, which has the examples, the budget, the limits and the reflection model.
        Learn from `problem.train`, and compare on `problem.validation`.
        """


class Adapter(Protocol):
    """The code that connects one framework. `FrameworkAdapter` is a base that keeps these promises."""

    name: str
    """The name that `enable` takes."""
    requires: tuple[str, ...]
    """Names of the adapters that this one builds on; they are enabled first."""

    def enable(self) -> None:
        """Connect the framework; calling it again changes nothing. Raises `PluginError` when the framework is missing."""

    def disable(self) -> None:
        """Disconnect it: every replaced method is again the original."""


@runtime_checkable
class LazyAdapter(Adapter, Protocol):
    """An adapter that says when its framework is there, so that `PROMPT_REGISTRY_ENABLE` imports no framework."""

    @property
    def waits_for(self) -> str:
        """The module after whose import the adapter can attach."""


@dataclass(frozen=True, slots=True)
class ImportedPrompt:
    """A prompt as another tool kept it.

    Either all versions have a number or none has; without, they count from 1.
    """

    name: str
    """Name of the prompt."""
    versions: Sequence[NewVersion]
    """Its versions, oldest first."""
    aliases: Mapping[str, int]
    """Version number by alias."""
    tags: Mapping[str, str]
    """Tags of the prompt as a whole."""
    original: str = ""
    """Its name in the source, if the registry does not allow that name; else empty."""
    notes: Sequence[str] = ()
    """What is different here, each a clause for people, such as "variable 'user name' is 'user_name' here"."""
    left_out: Sequence[str] = ()
    """Parts of the prompt that were not imported, each with its reason."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A prompt, or a version of one, that an importer found and could not carry over exactly."""

    name: str
    """Its name in the source, or its file."""
    reason: str
    """Why it was left out, and what to do."""


Importer = Callable[[str], Iterable[ImportedPrompt | LeftOut]]
"""A function that reads prompts from a path or an address.

It yields `LeftOut` for a single prompt that it cannot read, and raises `UserError` if it cannot read the source at all.
"""


class Executor(Protocol):
    """Runs rollouts in other processes. Its arguments and results are JSON texts; nothing is pickled."""

    async def run(self, work: str, candidate: str, example: str) -> str:
        """Return what `prompt_registry_plugin.evaluation.remote.perform(work, candidate, example)` returns in the other process."""

    def close(self) -> None:
        """Release its connections and processes."""


AnyModel = Model | str | tuple[Any, str] | Callable[..., Awaitable[Any]] | Callable[..., Any]
"""Whatever names a model: a `Model`, a string such as `"openai:gpt-…"`, a client with a name, or a function of the messages."""

__all__ = [
    "Adapter",
    "Adopted",
    "AnyModel",
    "CandidateRecord",
    "DatasetTable",
    "Executor",
    "ImportedPrompt",
    "Importer",
    "LeftOut",
    "Model",
    "NewMove",
    "NewVersion",
    "OptimizationResult",
    "Optimizer",
    "PromptStore",
    "PromptTable",
    "ReflectionRecord",
    "Reply",
    "RunRecord",
    "RunTable",
    "Scorer",
    "Store",
    "StreamingModel",
    "Target",
    "TraceTable",
]
