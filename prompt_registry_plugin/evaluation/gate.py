"""The language of gates: what an evaluation must reach to pass, such as `accuracy >= 0.8 and no regression`.

A gate is one or more conditions, joined by `and`. A condition compares a scorer, `score`, `failures`, `unscored` (rows without a score),
`seconds`, `cost` or `tokens` with a number (`80%` is 0.8). `no regression` holds unless the variant is worse than the first one by more
than chance. `likely better` and `proven better` hold if the variant has that grade against the first one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Literal, cast

from prompt_registry_plugin.errors import UserError, did_you_mean
from prompt_registry_plugin.evaluation.grades import Grade, describe_evidence, gain_of, reaches
from prompt_registry_plugin.evaluation.variant import MEASURES, Variant

Operator = Literal[">=", "<=", ">", "<"]

_CONDITION = re.compile(
    r"\s*(?:(?P<regression>no regression)|(?P<grade>likely|proven) better|"
    r"(?P<what>[\w./-]+)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>-?(?:\d+\.?\d*|\.\d+)%?))\s*",
    re.I,
)
_HOLDS: dict[Operator, Callable[[float, float], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}


@dataclass(frozen=True, slots=True)
class Bound:
    """The condition that a figure of the last variant is within a bound."""

    measure: str
    """One of `MEASURES`, or a scorer."""
    operator: Operator
    value: float
    """In the measure's unit: 0 to 1 for most scorers, rollouts, seconds, US dollars or tokens."""

    def reason_against(self, variants: Sequence[Variant]) -> str | None:
        """Return why the condition does not hold, or None when it does. Raises `UserError` for a figure that is not known."""
        value = variants[-1].measure(self.measure)
        if value is None:
            raise UserError(
                f"the gate names {self.measure!r}, which is not known of this run: no prices, or no model calls that were traced"
            )
        if _HOLDS[self.operator](value, self.value):
            return None
        return f"{self.measure} is {value:.4g}, not {self.operator} {self.value:g}"


@dataclass(frozen=True, slots=True)
class NoRegression:
    """The condition that the last variant is not worse than the first one by more than chance."""

    def reason_against(self, variants: Sequence[Variant]) -> str | None:
        """Return why the condition does not hold, or None when it does."""
        first, last = variants[0], variants[-1]
        if last.difference is None or not last.regressed:
            return None
        return f"{last.name} is worse than {first.name}: {gain_of(last.difference)}"


@dataclass(frozen=True, slots=True)
class Better:
    """The condition that the last variant is better than the first one, with a grade of evidence."""

    grade: Grade
    """The grade that it needs at least."""

    def reason_against(self, variants: Sequence[Variant]) -> str | None:
        """Return why the condition does not hold, or None when it does."""
        first, last = variants[0], variants[-1]
        if last.difference is None or last.grade is None or reaches(last.grade, self.grade):
            return None
        return f"{last.name} is not {self.grade} better than {first.name}: {last.grade}, {describe_evidence(last.grade, last.difference)}"


Condition = Bound | NoRegression | Better


def parse_gate(gate: str, scorers: Sequence[str], variants: int) -> list[Condition]:
    """Return the conditions of a gate for `variants` variants with these scorers.

    It runs nothing, so that a mistake in a gate is found before an evaluation is paid for. Raises `UserError` for a gate that cannot be
    read, for a name that is not measured, and for a comparison with a single variant.
    """
    return [_parse_condition(part, scorers, variants) for part in re.split(r"\s+and\s+", gate.strip(), flags=re.I)]


def _parse_condition(text: str, scorers: Sequence[str], variants: int) -> Condition:
    read = _CONDITION.fullmatch(text)
    if read is None:
        raise UserError(
            f"cannot read {text!r} in the gate; write 'accuracy >= 0.8', 'failures < 1', 'no regression', "
            "'likely better' or 'proven better', "
            "joined by 'and'"
        )
    if read["regression"] or read["grade"]:
        if variants < 2:
            raise UserError(f"{text.strip()!r} needs something to compare with: name a baseline as well")
        return NoRegression() if read["regression"] else Better(cast("Grade", read["grade"].lower()))
    known = [*MEASURES, *scorers]
    if read["what"] not in known:
        meant = did_you_mean(read["what"], known) or "; there are " + ", ".join(known)
        raise UserError(f"the gate names {read['what']!r}, which is not known here{meant}")
    value = float(read["bound"].rstrip("%")) / (100 if read["bound"].endswith("%") else 1)
    return Bound(read["what"], cast("Operator", read["op"]), value)


def check_gate(gate: str, variants: Sequence[Variant]) -> list[str]:
    """Return why the last variant does not pass a gate, a reason for each condition that fails; empty when it passes.

    Raises `UserError` as `parse_gate` does, and for a figure that is not known, such as a cost without prices.
    """
    conditions = parse_gate(gate, variants[-1].result.scorers, len(variants))
    reasons = [condition.reason_against(variants) for condition in conditions]
    return [reason for reason in reasons if reason is not None]
