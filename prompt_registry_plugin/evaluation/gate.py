"""The language of gates: what an evaluation must reach, such as `accuracy >= 0.8 and no regression`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, cast

from prompt_registry_plugin.errors import UserError, did_you_mean

_CONDITION = re.compile(
    r"\s*(?:(?P<regression>no regression)|(?P<what>[\w./-]+)\s*(?P<op>>=|<=|>|<)\s*(?P<bound>-?(?:\d+\.?\d*|\.\d+)%?))\s*", re.I
)


Operator = Literal[">=", "<=", ">", "<"]


_REGRESSION = "no regression"


_MEASURES = ("score", "failures", "seconds", "cost", "tokens")


def read_gate(gate: str, scorers: Sequence[str], variants: int) -> list[tuple[str, Operator, float]]:
    """The conditions of a gate, as (measure, operator, bound). Raises `UserError`; so it can be checked before anything is run."""
    found: list[tuple[str, Operator, float]] = []
    for part in re.split(r"\s+and\s+", gate.strip(), flags=re.I):
        read = _CONDITION.fullmatch(part)
        if read is None:
            raise UserError(
                f"cannot read {part!r} in the gate; write 'accuracy >= 0.8', 'failures < 1' or 'no regression', joined by 'and'"
            )
        if read["regression"]:
            if variants < 2:
                raise UserError("'no regression' needs something to compare with: name a baseline as well")
            found.append((_REGRESSION, ">=", 0.0))
            continue
        known = [*_MEASURES, *scorers]
        if read["what"] not in known:
            meant = did_you_mean(read["what"], known) or "; there are " + ", ".join(known)
            raise UserError(f"the gate names {read['what']!r}, which is not known here{meant}")
        bound = float(read["bound"].rstrip("%")) / (100 if read["bound"].endswith("%") else 1)
        found.append((read["what"], cast("Operator", read["op"]), bound))
    return found


def _holds(value: float, op: Operator, bound: float) -> bool:
    return {">=": value >= bound, "<=": value <= bound, ">": value > bound, "<": value < bound}[op]
