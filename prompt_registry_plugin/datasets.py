"""Rows of examples, checked before anything is run on them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import InvalidExample
from prompt_registry_plugin.frozen import canonical_json, freeze
from prompt_registry_plugin.records import Example, digest
from prompt_registry_plugin.tracing import Trace

Data = Iterable[Mapping[str, Any] | Example | Trace] | str | PathLike[str]
"""Rows (`{"inputs": {…}, "expectations": {…}}`), traces, or the path of a JSON Lines file of such rows."""


def load_examples(data: Data, what: str = "data") -> list[Example]:
    """The examples of `data`, in order. `outputs` of a row, or of a trace's outermost span, become `expectations["expected_response"]`.

    Raises `InvalidExample`, naming the row.
    """
    rows: Any = data
    if isinstance(data, str | PathLike):
        rows, what = _read_json_lines(Path(data)), f"{what} ({data})"
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise InvalidExample(f"{what} is a list of rows or the path of a JSON Lines file, not a {type(rows).__name__}")
    examples = [
        row if isinstance(row, Example) else _example(row, f"row {number} of {what}") for number, row in enumerate(rows, 1)
    ]
    if not examples:
        raise InvalidExample(f"{what} has no rows")
    return examples


def unique(examples: Iterable[Example]) -> list[Example]:
    """The examples, each once."""
    return list({example.id: example for example in examples}.values())


def split_examples(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """(rest, held out): a seeded random `share` of the examples is set apart; rows with the same inputs stay together."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(digest(example.inputs), []).append(example)
    order = list(groups.values())
    random.Random(seed).shuffle(order)  # noqa: S311  a split, not a secret
    n = min(max(1, round(len(order) * share)), len(order) - 1)
    rest, held_out = order[n:], order[:n]
    return [example for group in rest for example in group], [example for group in held_out for example in group]


def _example(row: Any, where: str) -> Example:
    if isinstance(row, Trace):
        row = _row_of(row, where)
    if not isinstance(row, Mapping):
        raise InvalidExample(f"{where} is a mapping with 'inputs' and 'expectations', not {type(row).__name__}")
    inputs, expectations = row.get("inputs"), row.get("expectations")
    if not isinstance(inputs, Mapping) or not inputs:
        raise InvalidExample(f"{where} has no 'inputs': a mapping of the target's arguments, such as {{'question': '…'}}")
    if expectations is None:
        expectations = {} if row.get("outputs") is None else {"expected_response": row["outputs"]}
    if not isinstance(expectations, Mapping):
        raise InvalidExample(f"'expectations' of {where} is a mapping, not {type(expectations).__name__}")
    try:
        canonical_json([inputs, expectations])
    except (TypeError, ValueError) as error:
        raise InvalidExample(f"{where} is not JSON data: {error}") from error
    return Example(freeze(inputs), freeze(expectations))


def _row_of(trace: Trace, where: str) -> dict[str, Any]:
    """What the outermost step of a recorded run was given and gave back."""
    for _, span in trace.walk():
        attributes = span.attributes
        output = attributes.get("output", attributes.get("outputs"))
        if span.error is None and isinstance(attributes.get("inputs"), Mapping) and output is not None:
            return {"inputs": attributes["inputs"], "outputs": output}
    raise InvalidExample(
        f"{where} is a trace ({trace.name}) without a step whose inputs and output are known: record a run of a function with @trace"
    )


def _read_json_lines(path: Path) -> Iterable[Any]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # not splitlines: JSON strings may hold other line ends
    except OSError as error:
        raise InvalidExample(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidExample(f"{path} is not UTF-8 text: {error}") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise InvalidExample(f"line {number} of {path} is not JSON: {error}") from error
