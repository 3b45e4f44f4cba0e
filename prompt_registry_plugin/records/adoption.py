"""Adopted texts: how the registry recognizes them, and what a recording tells about the prompts of an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from prompt_registry_plugin.frozen import EMPTY

Role = Literal["system", "user", "description"]
"""The kinds of text that an agent's code gives to a model: `system` (also developer texts and instructions), `user`, and the
`description` of a tool, parameter, handoff or output field."""

BindingRole = Literal["template", "system", "user", "description"]
"""A `Role`, or `template` for a framework's template object, which is recognized before it is rendered."""

CoverageState = Literal["served", "adopted", "adoptable", "not adoptable", "no prompt"]
"""How far the registry knows a prompt: `served` from it; `adopted`, so that it is served from now on; `adoptable`; `not adoptable`, with
the reason; `no prompt`, a model call with no instructions at all."""


@dataclass(frozen=True, slots=True)
class TextBinding:
    """An adopted text: where it is replaced, and by which prompt."""

    text_hash: str
    """`digest` of the template that was adopted."""
    place: str
    """Where it was recorded: `agent/node`; of a description, `agent/tools/name` and so on; of a variable of another adopted text,
    `text_hash.variable`. Empty if the framework did not tell."""
    role: BindingRole
    """What kind of text it is."""
    name: str
    """Name of the prompt that replaces it."""
    alias: str
    """Alias of the prompt that is served."""
    version: int
    """Number of the version that has the adopted template; 0 for the version that is registered with it."""
    strict: bool = False
    """Whether the text is replaced at this place only, rather than at any place that sends it."""
    detail: Mapping[str, Any] = EMPTY
    """More about it, as JSON data: `source` is the file and line that it was found in, `key` the key of a description, and `alone`
    whether every text of this role at this place was adopted."""
    template: str | None = None
    """The adopted template; the store fills it in. None if its version was deleted."""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One text of an agent, and whether the registry knows it."""

    place: str
    """Agent or graph, and node, that sends it; empty if the framework did not tell."""
    role: BindingRole
    """What kind of text it is."""
    name: str
    """Name of the prompt, or the name that it is adopted under."""
    state: CoverageState
    """How far the registry knows it."""
    detail: str
    """The version that was served, or why the text cannot be adopted; empty otherwise."""
    words: str
    """The first words of the text, with control characters visible; at most 60 characters."""
    variables: Sequence[str] = ()
    """Variables of the template, sorted."""
    source: str = ""
    """File and line of the template in the code; empty if it is not known."""
    times: int = 1
    """How often it was sent in the recording."""
    template: Any = field(default=None, repr=False)
    """The template that is adopted; None if there is none."""
