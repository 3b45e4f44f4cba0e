"""Examples from files, tables, traces and plain rows, checked before anything runs on them."""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from prompt_registry_plugin.datasets.steps import Continued, find_step
from prompt_registry_plugin.datasets.steps import step_of as step_of
from prompt_registry_plugin.errors import InvalidExample, NotPlainData
from prompt_registry_plugin.frozen import canonical_json, freeze
from prompt_registry_plugin.masking import has_mask
from prompt_registry_plugin.masking.forms import MARK
from prompt_registry_plugin.plain.answers import answer_inside
from prompt_registry_plugin.plain.data import is_plain, plain_data
from prompt_registry_plugin.plain.fields import field_values
from prompt_registry_plugin.records import Example, digest
from prompt_registry_plugin.tracing.trace import Trace

Data = Iterable[Mapping[str, Any] | Example | Trace] | str | PathLike[str]
"""Rows (`{"inputs": {…}, "expectations": {…}}`), traces, a table (a pandas frame, a Hugging Face `Dataset`), or the path of a `.jsonl`,
`.csv` or `.parquet` file.

A table has a column for each input. `expected_response`, `expected_facts` and columns that begin with `expectations.` are
expectations; a leading `inputs.` is dropped. Columns `inputs` and `expectations` may hold mappings, or mappings as JSON.
"""

_EXPECTED = ("expected_response", "expected_facts", "outputs")


def load_examples(data: Data, what: str = "data") -> list[Example]:
    """Return the examples of `data`, in order; `outputs` of a row or trace become `expectations["expected_response"]`.

    Raises `InvalidExample`, naming the row.
    """
    rows: Any = data
    if isinstance(data, str | PathLike):
        rows, what = _read(Path(data)), f"{what} ({data})"
    elif _is_table(data):
        rows = _read_table(data)
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise InvalidExample(f"{what} is a list of rows or the path of a JSON Lines file, not a {type(rows).__name__}")
    examples = [_make_example(row, f"row {number} of {what}") for number, row in enumerate(rows, 1)]
    if not examples:
        raise InvalidExample(f"{what} has no rows")
    return examples


def is_empty(data: Data | None) -> bool:
    """Return whether data was given that has no rows."""
    return isinstance(data, Sequence) and not isinstance(data, str) and not data


def unique(examples: Iterable[Example]) -> list[Example]:
    """Return the examples, each once by its content. Raises `InvalidExample` for two different ones with the same id."""
    found = {digest([example.inputs, example.expectations]): example for example in examples}
    ids: set[str] = set()
    for example in found.values():
        if example.id in ids:
            raise InvalidExample(f"two different rows have the id {example.id!r}")
        ids.add(example.id)
    return list(found.values())


def same_inputs(example: Example) -> str:
    """Return a hash that examples share if their inputs differ only in case, whitespace and punctuation.

    If one of them is in the training set, the other one proves nothing as a held-out example.
    """
    return digest(_normalize(example.inputs))


def split_examples(
    examples: Sequence[Example], share: float, seed: int, *, stratify: str | None = None
) -> tuple[list[Example], list[Example]]:
    """Return (training, held-out) examples: a seeded random `share` of them is held out.

    Examples whose inputs differ only in case, whitespace and punctuation stay together. With `stratify`, the name of an
    expectation, each of its values has its share on both sides, as far as it has examples. Raises `InvalidExample` if there are
    fewer than two different inputs.
    """
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(same_inputs(example), []).append(example)
    if len(groups) < 2:
        raise InvalidExample("a split needs two rows or more with different inputs")
    order = list(groups.values())
    random.Random(seed).shuffle(order)  # noqa: S311  a split, not a secret
    wanted = min(max(1, round(len(order) * share)), len(order) - 1)
    if stratify is not None:
        order = _interleave(order, stratify)
    held_out, rest = order[:wanted], order[wanted:]
    return [example for group in rest for example in group], [example for group in held_out for example in group]


def _interleave(groups: Sequence[list[Example]], expectation: str) -> list[list[Example]]:
    """Return the groups in an order in which every prefix has about the same shares of the expectation's values as the whole."""
    by_value: dict[str, list[list[Example]]] = {}
    for group in groups:
        if expectation not in group[0].expectations:
            raise InvalidExample(f"a row has no expectation {expectation!r} to stratify by: {dict(group[0].inputs)!r:.120}")
        by_value.setdefault(digest(group[0].expectations[expectation]), []).append(group)
    places = [((i + 0.5) / len(same), group) for same in by_value.values() for i, group in enumerate(same)]
    return [group for _, group in sorted(places, key=lambda place: place[0])]


def _normalize(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _normalize(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_normalize(item) for item in value]
    return (re.findall(r"\w+", value.casefold()) or value) if isinstance(value, str) else value


def _make_example(row: Any, where: str) -> Example:
    if isinstance(row, Example):
        return _plain_example(row, where)
    if isinstance(row, Trace):
        row = _row_from_trace(row, where)
    given = row if isinstance(row, Mapping) else field_values(row)
    if given is None:
        raise InvalidExample(f"{where} is a mapping with 'inputs' and 'expectations', not {type(row).__name__}")
    row = given
    inputs, expectations = _plain_part(row.get("inputs"), where, "inputs"), row.get("expectations")
    if not isinstance(inputs, Mapping) or not inputs:
        raise InvalidExample(f"{where} has no 'inputs': a mapping of the target's arguments, such as {{'question': '…'}}")
    if expectations is None:
        expectations = {} if row.get("outputs") is None else {"expected_response": row["outputs"]}
    expectations = _plain_part(expectations, where, "expectations")
    if not isinstance(expectations, Mapping):
        raise InvalidExample(f"'expectations' of {where} is a mapping, not {type(expectations).__name__}")
    try:
        canonical_json([inputs, expectations])
    except (TypeError, ValueError) as error:
        raise InvalidExample(f"{where} is not JSON data: {error}") from error
    return Example(freeze(inputs), freeze(expectations))


def _plain_example(example: Example, where: str) -> Example:
    """Return an example whose inputs and expectations are JSON data: itself, if they are already."""
    if is_plain(example.inputs) and is_plain(example.expectations):
        return example
    inputs = _plain_part(example.inputs, where, "inputs")
    expectations = _plain_part(example.expectations, where, "expectations")
    return Example(freeze(inputs), freeze(expectations), example.id)


def _plain_part(part: Any, where: str, name: str) -> Any:
    """Return inputs or expectations as JSON data. Raises `InvalidExample`, naming the object that has no plain form."""
    try:
        if name == "inputs":
            return plain_data(part, name, is_input=True)
        if isinstance(part, Mapping):  # what is expected is compared with answers, so it is read as one
            return plain_data({key: answer_inside(item) for key, item in part.items()}, name)
        return plain_data(part, name)
    except NotPlainData as error:
        raise InvalidExample(f"{where} is not JSON data: {error}") from error


def _row_from_trace(trace: Trace, where: str) -> dict[str, Any]:
    found = find_step(trace)
    if isinstance(found, Continued):
        raise InvalidExample(
            f"{where} is a trace ({trace.name}) that continues a conversation, and its inputs are not all that the agent was given. Leave "
            "it out, or write its inputs and expectations as a row."
        )
    if found is not None and has_mask(tuple(found)):
        raise InvalidExample(
            f"{where} is a trace ({trace.name}) in which a secret was masked: {MARK} is not what the agent got. Leave it out, or write "
            "its inputs and expectations as a row."
        )
    if found is not None and found[1] is not None:
        return {"inputs": found[0], "outputs": found[1]}
    raise InvalidExample(
        f"{where} is a trace ({trace.name}) without a step whose inputs and output are known: record a run of a function with @trace"
    )


def _is_table(data: Any) -> bool:
    """Return whether it is a pandas frame or a Hugging Face dataset, without importing either."""
    return hasattr(data, "to_dict") and (hasattr(data, "columns") or hasattr(data, "column_names"))


def _read_table(data: Any) -> Iterable[Any]:
    records = data.to_dict("records") if hasattr(data, "columns") else iter(data)
    return (_row_from_record(record) for record in records)


def _row_from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of a table as a row with inputs and expectations; empty cells are left out."""
    given = {str(name): value for name, value in record.items() if not _is_empty(value)}
    inputs, expectations = _parse_mapping(given.pop("inputs", {})), _parse_mapping(given.pop("expectations", {}))
    for name, value in given.items():
        if name.startswith("expectations."):
            expectations[name.removeprefix("expectations.")] = value
        elif name == "outputs":
            expectations["expected_response"] = value
        elif name in _EXPECTED:
            expectations[name] = _parse_facts(value) if name == "expected_facts" else value
        else:
            inputs[name.removeprefix("inputs.")] = value
    return {"inputs": {name: _python_value(value) for name, value in inputs.items()}, "expectations": expectations and {
        name: _python_value(value) for name, value in expectations.items()
    }}  # fmt: skip


def _is_empty(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN or a missing value of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _parse_mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidExample(
                f"a cell of the column 'inputs' or 'expectations' is not JSON: {value!r:.60}: {error}"
            ) from error
    if not isinstance(value, Mapping):
        raise InvalidExample(f"a cell of the column 'inputs' or 'expectations' is not a mapping: {value!r:.60}")
    return dict(value)


def _parse_facts(value: Any) -> Any:
    """Return the facts in a cell of text: a JSON list, or one fact a line."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidExample(
                f"a cell of 'expected_facts' begins like a JSON list and is none: {value!r:.60}: {error}"
            ) from error
    return [line for line in value.splitlines() if line.strip()]


def _python_value(value: Any) -> Any:
    """Return a number or array of numpy as a number or list of Python."""
    return value.tolist() if hasattr(value, "tolist") else value


def _read(path: Path) -> Iterable[Any]:
    """Return the rows of a file by its ending; JSON Lines if the ending is unknown."""
    if path.suffix == ".csv":
        return _read_csv(path)
    if path.suffix == ".parquet":
        try:
            return _read_table(import_module("pandas").read_parquet(path))
        except ImportError as error:
            raise InvalidExample(f"reading {path} needs pandas and pyarrow: pip install pandas pyarrow") from error
        except OSError as error:
            raise InvalidExample(f"cannot read {path}: {error}") from error
    return _read_json_lines(path)


def _read_csv(path: Path) -> Iterable[Any]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if len(names := list(reader.fieldnames or ())) == 1 and re.search(r"[;\t|]", names[0]):
                raise InvalidExample(f"{path} is not separated by commas; its only column is {names[0]!r:.80}")
            for record in reader:
                if None in record or None in record.values():
                    raise InvalidExample(f"a row of {path} has another number of cells than the heading: {record!r:.120}")
                yield _row_from_record({name: value for name, value in record.items() if value != ""})
    except OSError as error:
        raise InvalidExample(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidExample(f"{path} is not a CSV file in UTF-8: {error}") from error


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
            except (ValueError, RecursionError) as error:
                raise InvalidExample(f"line {number} of {path} is not JSON: {error}") from error
