"""A proposed set of texts, and the edit that it becomes once it has passed its test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.records import Candidate


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one or more components that passed its test."""

    number: int
    """The number of the proposal, counted from 1 over the whole run."""
    changes: Mapping[str, tuple[str, str]]
    """By component: the text before and the text after."""
    note: str
    """A short name for reports, such as `edit 3 of support`."""
    gain: float
    """The gain that the test estimated: in checks per example, or in score where there are no checks."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate that differs from the head of that moment by one edit, before its test."""

    number: int
    """Counted from 1 over the whole run; a resumed run continues the count."""
    base: Candidate
    """The head that the reflection model was asked to improve."""
    candidate: Candidate
    """The head with the proposed text."""

    def as_edit(self, gain: float) -> Edit:
        """Return the edit that leads from `base` to `candidate`, with the gain that its test estimated."""
        before, after = components(self.base.templates), components(self.candidate.templates)
        changes = {key: (before[key], text) for key, text in after.items() if text != before[key]}
        return Edit(self.number, changes, self.candidate.note, gain)
