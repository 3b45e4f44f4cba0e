"""Names of variables for the slots of other tools, whose names may hold what ours may not."""

from __future__ import annotations

import re
from collections.abc import Mapping

from prompt_registry_plugin.templates.text import VARIABLE_NAME

_VARIABLE = re.compile(VARIABLE_NAME)
_UNNAMEABLE = re.compile(r"[^\w.\-]+")
_SEVERAL = re.compile(r"[.\-]*([.\-])")


def nameable(name: str, taken: Mapping[str, str]) -> str:
    """Return the name of the variable for a slot: `name`, or the nearest that a variable may have.

    `taken` has the slots that were named before, by variable: two slots never share one.
    """
    plain = _SEVERAL.sub(r"\1", _UNNAMEABLE.sub("-", name)).strip("-.")
    plain = plain if _VARIABLE.fullmatch(plain) else f"slot-{plain}" if _VARIABLE.fullmatch(f"slot-{plain}") else "slot"
    variable, number = plain, 2
    while taken.get(variable, name) != name:
        variable, number = f"{plain}-{number}", number + 1
    return variable
