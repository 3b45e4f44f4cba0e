"""The change in all that an optimization run made: the winner's texts beside those that it started from, with their sizes."""

from __future__ import annotations

from dataclasses import dataclass

from prompt_registry_plugin.optimize.engine.components import components
from prompt_registry_plugin.records import Candidate

_CHARACTERS_PER_TOKEN = 4  # a rule of thumb for English


@dataclass(frozen=True, slots=True)
class Change:
    """One text of the winner beside the one that the search started from."""

    key: str
    """The component: the name of its prompt, or `name#2` for the second message of a chat prompt."""
    before: str
    """The text of the baseline."""
    after: str
    """The text of the winner."""

    @property
    def size(self) -> str:
        """The characters, and about how many tokens they are, before and after."""
        counts = [(len(text), -(-len(text) // _CHARACTERS_PER_TOKEN)) for text in (self.before, self.after)]
        return f"{counts[0][0]:,} → {counts[1][0]:,} characters, about {counts[0][1]:,} → {counts[1][1]:,} tokens"


def changes_of(baseline: Candidate, winner: Candidate) -> list[Change]:
    """Return the texts of the winner that differ from the baseline's."""
    before, after = components(baseline.templates), components(winner.templates)
    return [Change(key, before.get(key, ""), text) for key, text in after.items() if text != before.get(key)]
