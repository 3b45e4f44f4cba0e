"""Scorers that need no model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.errors import InvalidExample
from prompt_registry_plugin.records import Feedback, Item
from prompt_registry_plugin.scorers.scorer import scorer


@scorer
def exact_match(outputs: Any, expectations: Mapping[str, Any]) -> Feedback:
    """Compares with `expectations["expected_response"]`, or, where the answer is a mapping, field by field.

    The score is the share that is equal. Texts are compared without surrounding space.
    """
    if "expected_response" in expectations:
        pairs = {"answer": (expectations["expected_response"], outputs)}
    elif isinstance(outputs, Mapping) and (shared := [key for key in expectations if key in outputs]):
        pairs = {key: (expectations[key], outputs[key]) for key in shared}
    else:
        raise InvalidExample(
            "exact_match needs expectations['expected_response'], or expectations named like the answer's fields"
        )
    items = [_compare(key, expected, got) for key, (expected, got) in pairs.items()]
    return Feedback(sum(item.ok for item in items) / len(items), items)


def _compare(key: str, expected: Any, got: Any) -> Item:
    ok = str(expected).strip() == str(got).strip()
    said = f"{key} is {expected!r}" if ok else f"{key} should be {expected!r} but was {got!r}"
    return Item(said, ok, key=f"{key}={expected}")
