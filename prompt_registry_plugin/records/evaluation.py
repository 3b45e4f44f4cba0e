"""Examples, verdicts of scorers, candidates and rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from prompt_registry_plugin.frozen import EMPTY, digest
from prompt_registry_plugin.records.prompts import Template
from prompt_registry_plugin.records.traces import Usage

RunStatus = Literal["running", "interrupted", "failed", "finished"]
"""How far an optimization run got."""

CandidateStatus = Literal["baseline", "proposed", "accepted", "rejected", "committed", "checkpoint", "winner"]
"""What an optimization run decided about a candidate."""


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A version of a dataset without its examples."""

    name: str
    """Name of the dataset."""
    version: int
    """Number of the version."""
    rows: int
    """Number of examples."""
    content_hash: str
    """Hash of the examples, in order."""
    created_at: datetime
    """When the version was registered."""
    created_by: str
    """Who registered it."""
    commit_message: str | None = None
    """Why."""


@dataclass(frozen=True, slots=True)
class Example:
    """One input of a target, with expectations about its answer."""

    inputs: Mapping[str, Any]
    """Keyword arguments of the target."""
    expectations: Mapping[str, Any] = EMPTY
    """What scorers compare the answer with, such as `expected_response`."""
    id: str = ""
    """Hash of its content, unless another id is given."""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest([self.inputs, self.expectations]))


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a scorer checked."""

    text: str
    """What was checked, or what is wrong."""
    ok: bool
    """Whether it is right."""
    component: str | None = None
    """Name of the prompt that is responsible, where the scorer knows."""
    key: str | None = None
    """Kind of mistake; mistakes of one kind are fixed together."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a scorer may return instead of a number."""

    score: float
    """The score; higher is better."""
    items: Sequence[Item] = ()
    """The single checks that it is made of."""
    rationale: str | None = None
    """Why, as prose."""


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict of one scorer on one answer."""

    value: float
    """The score; higher is better."""
    rationale: str | None = None
    """Why, as prose."""
    items: Sequence[Item] = ()
    """The single checks that it is made of."""
    name: str = ""
    """Name of the scorer."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its confidence interval."""

    mean: float
    """Mean of the values."""
    low: float | None
    """Lower bound; None where there are too few values for one."""
    high: float | None
    """Upper bound; None where there are too few values for one."""
    n: int
    """Number of values."""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.3f} (n={self.n})"
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A set of templates under test."""

    templates: Mapping[str, Template]
    """Template by prompt name."""
    parent_id: str | None = None
    """Id of the candidate that it was derived from."""
    note: str = ""
    """How it differs from its parent, for people."""
    id: str = field(default="")
    """Hash of the templates, unless another id is given."""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", digest(self.templates))

    def replace(self, name: str, template: Template, *, note: str = "") -> Candidate:
        """Return the child of this candidate in which prompt `name` has another template."""
        return Candidate({**self.templates, name: template}, parent_id=self.id, note=note)


@dataclass(frozen=True, slots=True)
class Rollout:
    """One scored call of a target on one example."""

    example_id: str
    """Id of the example."""
    candidate_id: str
    """Id of the candidate that was tested."""
    outputs: Any
    """The answer; None where the target raised."""
    scores: Mapping[str, Score]
    """Verdict by name of the scorer; empty where it failed."""
    score: float | None
    """The scores as one number; 0 where it failed, and None where a scorer gave no score (see `unscored`)."""
    seconds: float
    """Seconds that the last attempt took."""
    usage: Usage
    """Tokens of the target's model calls, over all attempts."""
    error: str | None = None
    """Why it failed: the target raised, or a scorer did. A failed call is never scored as text."""
    outputs_by_prompt: Mapping[str, str] = EMPTY
    """The model's last answer to each prompt, by name; `→ search(query="x")` if it is a call of a tool or a handoff."""
    renders: Mapping[str, int] = EMPTY
    """How often each prompt of the candidate was rendered, by name."""
    cost: float | None = None
    """US dollars for `usage`; None where a price is unknown."""
    judging: Usage = field(default_factory=Usage)
    """Tokens of the judges that scored it."""
    judging_cost: float | None = 0.0
    """US dollars for `judging`; None where a price is unknown."""
    prompts: Mapping[str, int] = EMPTY
    """Version number of each prompt that was loaded, by name; 0 for one that was not found."""
    answers_by_prompt: Mapping[str, Sequence[str]] = EMPTY
    """The model's answers to each prompt, oldest first, the last 20, by name; where an agent calls tools there are several."""
    unscored: str | None = None
    """Why it has no score, such as a judge whose answer cannot be read. It is no wrong answer: means leave it out."""

    def reached(self, prompt: str | None = None) -> bool:
        """Return whether a prompt was rendered, by name or by the key of one of its messages; by default, whether any was.

        True where it is not known, as in rollouts that were stored without renders.
        """
        if prompt is None:
            return not self.renders or any(self.renders.values())
        return not self.renders or self.renders.get(prompt.partition("#")[0], 1) > 0
