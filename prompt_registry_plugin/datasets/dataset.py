"""Data sets in the registry: named, versioned, each row once by its content; and how recorded runs become rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Literal, get_args, overload

from prompt_registry_plugin import uri
from prompt_registry_plugin.concurrency import async_twin
from prompt_registry_plugin.datasets.examples import Data, load_examples, split_examples, step_of, unique
from prompt_registry_plugin.datasets.feedback import feedback_by_trace, rejects
from prompt_registry_plugin.errors import DatasetNotFound, InvalidExample, InvalidURI, UserError, did_you_mean
from prompt_registry_plugin.frozen import freeze
from prompt_registry_plugin.records import DatasetSummary, Example, TraceFeedback, digest
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.registry import who
from prompt_registry_plugin.tracing.trace import Trace

SCHEME = "datasets:/"
Only = Literal["accepted", "corrected", "reviewed"]


@dataclass(frozen=True, repr=False)
class Dataset(Sequence[Example]):
    """Examples, in order. One that is in the registry has a `name`, a `version` and its `summary`; others have version 0."""

    examples: Sequence[Example]
    summary: DatasetSummary | None = None

    @classmethod
    def from_traces(cls, traces: Iterable[Trace], *, only: Only = "accepted") -> Dataset:
        """A row for each trace: the inputs of its outermost step, and its output as the `expected_response`.

        What people said (`log_feedback`) counts: corrections take the place of the output, and what was rejected or failed without a
        correction is left out. `only="reviewed"` leaves out what nobody looked at, `"corrected"` all but corrections. Of rows with the same
        inputs the newest correction holds, else the newest answer. Raises `InvalidExample` when nothing is left.
        """
        if only not in get_args(Only):
            raise UserError(f"only is one of {', '.join(get_args(Only))}, not {only!r}")
        traces = sorted(traces, key=lambda trace: trace.started_at)
        said = feedback_by_trace(traces)
        plain: list[Example] = []
        corrected: list[tuple[datetime, Example]] = []
        for trace in traces:
            verdicts = said.get(trace.id, [])
            step, expectations = step_of(trace), corrections(verdicts)
            if step is None:
                continue
            if expectations:
                corrected.append((verdicts[-1].created_at, Example(freeze(step[0]), freeze(expectations))))
            elif step[1] is not None and (verdicts or only == "accepted") and only != "corrected" and not _rejected(verdicts):
                plain.append(Example(freeze(step[0]), freeze({"expected_response": step[1]})))
        mended = [row for _, row in sorted(corrected, key=lambda said: said[0])]
        rows = list({digest(row.inputs): row for row in (*plain, *mended)}.values())
        if not rows:
            raise InvalidExample(
                f"{len(traces)} traces make no row: each needs a step whose inputs are known (record a run of a function with @trace), "
                f"and an answer that was {only}"
            )
        return cls(rows)

    @property
    def name(self) -> str:
        """What it is called in the registry; empty where it is not there."""
        return self.summary.name if self.summary else ""

    @property
    def version(self) -> int:
        """Its version in the registry; 0 where it is not there."""
        return self.summary.version if self.summary else 0

    @property
    def uri(self) -> str:
        """`datasets:/name/version`, which is taken wherever data is."""
        return f"{SCHEME}{self.name}/{self.version}"

    def split(self, share: float = 0.3, *, seed: int = 0, stratify: str | None = None) -> tuple[Dataset, Dataset]:
        """(rest, held out): a seeded `share` is set apart; rows whose inputs say the same stay together.

        With `stratify`, the name of an expectation such as `"expected_response"`, each of its values has its share on both sides.
        """
        if not 0 < share < 1:
            raise UserError(f"share is a number between 0 and 1, not {share!r}")
        rest, held_out = split_examples(self.examples, share, seed, stratify=stratify)
        return Dataset(rest), Dataset(held_out)

    def to_frame(self) -> Any:
        """A pandas frame with a row for each example, in columns `inputs` and `expectations`. Raises `UserError` without pandas."""
        return frame_of({"inputs": dict(e.inputs), "expectations": dict(e.expectations)} for e in self.examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Example | Dataset:
        return Dataset(self.examples[index]) if isinstance(index, slice) else self.examples[index]

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __repr__(self) -> str:
        return f"<data set of {len(self)} rows{f', {self.uri}' if self.summary else ''}>"


def register_dataset(name: str, data: Data, *, commit_message: str | None = None) -> Dataset:
    """The next version of a data set, each row once; the newest version where it has the same rows. Raises `InvalidExample`."""
    uri.check_name(name, "data set")
    written = current_registry().store.datasets.add(name, unique(examples_of(data)), by=who(), commit_message=commit_message)
    assert written is not None
    return load_dataset(name, written.version)


def merge_records(name: str, data: Data, *, commit_message: str | None = None) -> Dataset:
    """The next version of a data set, which has more rows: those of `data` whose inputs are new.

    Expectations of rows that are there are added to, and replaced where they have the same name. A data set that is not there is made.
    """
    uri.check_name(name, "data set")
    table, new = current_registry().store.datasets, examples_of(data)
    while True:
        found = table.get(name)
        rows, version = (found[1], found[0].version) if found else ([], 0)
        written = table.add(name, merged(rows, new), by=who(), commit_message=commit_message, expected=version)
        if written is not None:  # else somebody else added rows meanwhile, which are not to be lost
            return load_dataset(name, written.version)


def load_dataset(name_or_uri: str, version: int | None = None) -> Dataset:
    """A data set of the registry: the newest version, or the one that a number or `datasets:/name/3` names. Raises `DatasetNotFound`."""
    name = name_or_uri
    if is_dataset_uri(name_or_uri):
        body = name_or_uri.removeprefix(SCHEME)
        name, _, last = body.rpartition("/")
        if last.isascii() and last.isdigit() and name:
            if version is not None:
                raise InvalidURI(f"{name_or_uri!r} already says which version; leave version={version!r} away")
            version = int(last)
        else:
            name = body.removesuffix("@latest")
    uri.check_name(name, "data set")
    registry = current_registry()
    found = registry.store.datasets.get(name, version)
    if found is None:
        known = [summary.name for summary in registry.store.datasets.newest()]
        there = f"data set {name!r} has no version {version}" if name in known else f"no data set {name!r}"
        raise DatasetNotFound(f"{there} in {registry.place}{did_you_mean(name, set(known) - {name})}")
    return Dataset(found[1], found[0])


def list_datasets() -> list[DatasetSummary]:
    """The data sets of the registry, each with its newest version, by name."""
    return current_registry().store.datasets.newest()


aregister_dataset = async_twin(register_dataset)
amerge_records = async_twin(merge_records)
aload_dataset = async_twin(load_dataset)
alist_datasets = async_twin(list_datasets)


def is_dataset_uri(data: Any) -> bool:
    """Whether `data` claims to name a data set of the registry."""
    return isinstance(data, str) and data.startswith("datasets:")


def examples_of(data: Data, what: str = "data") -> list[Example]:
    """The examples of whatever is given as data; see `Data`. `datasets:/name` is read from the registry."""
    return list(load_dataset(data)) if isinstance(data, str) and is_dataset_uri(data) else load_examples(data, what)


def merged(there: Sequence[Example], new: Iterable[Example]) -> list[Example]:
    """The rows of both, each once; new expectations of inputs that are there are added to theirs.

    Inputs that stand there several times, with different expectations, are left alone: what is new is another row.
    """
    rows = list(there)
    places: dict[str, list[int]] = {}
    for i, example in enumerate(rows):
        places.setdefault(digest(example.inputs), []).append(i)
    for example in new:
        found = places.setdefault(digest(example.inputs), [])
        if len(found) == 1:
            old = rows[found[0]]
            rows[found[0]] = Example(old.inputs, freeze({**old.expectations, **example.expectations}))
        elif example.expectations not in [rows[i].expectations for i in found]:
            found.append(len(rows))
            rows.append(Example(example.inputs, example.expectations))
    return rows


def frame_of(rows: Iterable[Mapping[str, Any]]) -> Any:
    """A pandas frame of rows. Raises `UserError` without pandas."""
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise UserError("pandas is not installed: pip install pandas") from error
    return pandas.DataFrame(list(rows))


def corrections(verdicts: Sequence[TraceFeedback]) -> dict[str, Any]:
    """What should have come out: a later verdict of the same name takes an earlier one's place, what comes without one is added."""
    by_name: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        said = by_name.setdefault(verdict.name, {})
        if verdict.value is not None:
            said.clear()
        for name, value in verdict.expectations.items():
            # One more fact; `log_expectation` says all of them, under the expectation's own name.
            facts = name == "expected_facts" != verdict.name and isinstance(value, list) and isinstance(said.get(name), list)
            said[name] = [*said[name], *value] if facts else value
    return {name: value for said in by_name.values() for name, value in said.items()}


def _rejected(verdicts: Sequence[TraceFeedback]) -> bool:
    return any(rejects(verdict) for verdict in {v.name: v for v in verdicts if v.value is not None}.values())
