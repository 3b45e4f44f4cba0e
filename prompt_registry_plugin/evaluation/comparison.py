"""The result of comparing variants on the same examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from prompt_registry_plugin.evaluation import compare_report as report
from prompt_registry_plugin.evaluation.gate import check_gate
from prompt_registry_plugin.evaluation.variant import Variant
from prompt_registry_plugin.records import Example


@dataclass(frozen=True, repr=False)
class Comparison:
    """Variants on the same examples. The others are compared with the first, in pairs."""

    variants: Sequence[Variant]
    """In the order in which they were given: the first is the baseline, and a gate is about the last."""
    examples: Sequence[Example]
    """The examples that each variant ran on once, in order."""

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in [self.columns, *self.rows()])

    @cached_property
    def _columns(self) -> list[tuple[str, Callable[[Variant], str]]]:
        return report.table_columns(self.variants)

    @property
    def columns(self) -> list[str]:
        """The headings of `rows`. A column that would be empty or say nothing new is left out."""
        return [heading for heading, _ in self._columns]

    def rows(self) -> list[list[str]]:
        """Return the table as text, a row for each variant."""
        return [[show(variant) for _, show in self._columns] for variant in self.variants]

    def matrix(self, measure: str = "score") -> list[list[str]]:
        """Return a row for each prompt and a column for each model, with headings: the score with its interval, or another measure.

        Empty unless there are several prompts and several models. Raises `UserError` for an unknown measure.
        """
        return report.matrix_of(self.variants, measure)

    @property
    def note(self) -> str:
        """A sentence on what the figures are: examples, pairs, intervals and corrections."""
        return report.note_on(self.variants, self.examples)

    def to_json(self) -> dict[str, Any]:
        """Return all figures, and the scores of every example, as JSON data."""
        return report.to_json(self.variants, self.examples)

    def to_frame(self) -> Any:
        """Return a pandas frame with a row for each variant and example. Raises `UserError` without pandas."""
        return report.to_frame(self.variants, self.examples)

    def to_junit(self, gate: str | None = None) -> str:
        """Return JUnit XML: a suite for each variant with a case for each example, and a suite for the gate.

        An example on which the target failed is an error. Raises `UserError` for a gate that cannot be read.
        """
        return report.to_junit(self.variants, self.examples, gate, [] if gate is None else self.failures_of(gate))

    def to_html(self) -> str:
        """Return a page that loads nothing: the table, and for each example every variant's answer and score."""
        return report.to_html(self.variants, self.examples, [self.columns, *self.rows()])

    def failures_of(self, gate: str) -> list[str]:
        """Return why the last variant does not pass a gate such as `"accuracy >= 0.8 and no regression"`; empty when it passes.

        A condition compares a scorer, `score`, `failures`, `unscored`, `seconds`, `cost` or `tokens` (means over the rollouts) with a
        number.
        `no regression` fails when the variant is worse than the first by more than chance, `likely better` and `proven better` if it
        does not have that grade. Raises `UserError` for a gate that cannot
        be read, and for a figure that is not known.
        """
        return check_gate(gate, self.variants)
