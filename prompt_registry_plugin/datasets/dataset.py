"""`Dataset`: examples in order, from files, from traces with their feedback, or from a registry; and how datasets merge."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Literal, get_args, overload

from prompt_registry_plugin import uri
from prompt_registry_plugin.datasets.examples import split_examples
from prompt_registry_plugin.datasets.feedback import corrections, group_by_trace, is_rejected, read_feedback
from prompt_registry_plugin.datasets.steps import Continued, Step, find_step
from prompt_registry_plugin.errors import InvalidExample, InvalidURI, UserError
from prompt_registry_plugin.frozen import freeze
from prompt_registry_plugin.masking import has_mask
from prompt_registry_plugin.records import DatasetSummary, Example, TraceFeedback, digest
from prompt_registry_plugin.tracing.trace import Trace

logger = logging.getLogger(__name__)

SCHEME = "datasets:/"
Only = Literal["accepted", "corrected", "reviewed"]


@dataclass(frozen=True, repr=False)
class Dataset(Sequence[Example]):
    """Examples in order, in a registry or on their way into one."""

    examples: Sequence[Example]
    """The examples."""
    summary: DatasetSummary | None = None
    """Its name, version and history in the registry; None where it is in none."""

    @classmethod
    def from_traces(
        cls, traces: Iterable[Trace], *, only: Only = "accepted", feedback: Iterable[TraceFeedback] | None = None
    ) -> Dataset:
        """Return an example for each trace: the inputs of its outermost step, and its output as the `expected_response`.

        That is a function with `@trace`, a chain, a graph, an agent or a single model call. What a user says to an agent is the input
        `input`, so the row can be given to the same agent again.

        Human feedback (`log_feedback`) counts: corrections replace the recorded output, and a trace that was rejected or failed
        is left out unless it was corrected. `only="reviewed"` leaves out traces without feedback, `"corrected"` all but
        corrections. Of traces with the same inputs the newest correction is used, else the newest answer.

        `feedback` is the feedback on these traces, oldest first. Without it, the current registry is asked; for traces of
        another one, pass `feedback=registry.load_feedback(traces)`. Traces in which a secret was masked, and those that continue a
        conversation, are left out with a warning in the log. Raises `InvalidExample` when no example is left.
        """
        if only not in get_args(Only):
            raise UserError(f"only is one of {', '.join(get_args(Only))}, not {only!r}")
        traces = sorted(traces, key=lambda trace: trace.started_at)
        by_trace = group_by_trace(read_feedback(traces) if feedback is None else feedback)
        recorded: list[Example] = []
        corrected: list[tuple[datetime, Example]] = []
        masked: list[str] = []
        continued: list[str] = []
        for trace in traces:
            verdicts = by_trace.get(trace.id, [])
            step, expectations = find_step(trace), corrections(verdicts)
            if isinstance(step, Continued):
                continued.append(trace.id)
            if not isinstance(step, Step):
                continue
            if has_mask((step[0], expectations or step[1])):
                masked.append(trace.id)
            elif expectations:
                corrected.append((verdicts[-1].created_at, Example(freeze(step[0]), freeze(expectations))))
            elif step[1] is not None and (verdicts or only == "accepted") and only != "corrected" and not is_rejected(verdicts):
                recorded.append(Example(freeze(step[0]), freeze({"expected_response": step[1]})))
        newest_last = [example for _, example in sorted(corrected, key=lambda correction: correction[0])]
        examples = list({digest(example.inputs): example for example in (*recorded, *newest_last)}.values())
        if masked:
            logger.warning(
                "Left out %d of %d traces, because a secret was masked in their inputs or outputs, such as trace %s. "
                "To use them, add rows written by hand.", len(masked), len(traces), masked[0],
            )  # fmt: skip
        if continued:
            logger.warning(
                "Left out %d of %d traces, because they continue a conversation, such as trace %s: what was said before is not in their "
                "inputs.", len(continued), len(traces), continued[0],
            )  # fmt: skip
        if not examples:
            raise InvalidExample(
                f"{len(traces)} traces make no row: each needs a step whose inputs are known (record a run of an agent, or of a function "
                f"with @trace), and an answer that was {only}"
            )
        return cls(examples)

    @property
    def name(self) -> str:
        """Its name in the registry; empty where it is in none."""
        return self.summary.name if self.summary else ""

    @property
    def version(self) -> int:
        """Its version in the registry; 0 where it is in none."""
        return self.summary.version if self.summary else 0

    @property
    def uri(self) -> str:
        """`datasets:/name/version`, which every parameter for data takes."""
        return f"{SCHEME}{self.name}/{self.version}"

    def split(self, share: float = 0.3, *, seed: int = 0, stratify: str | None = None) -> tuple[Dataset, Dataset]:
        """Return (training, held-out) datasets: a seeded random `share`, between 0 and 1, is held out.

        Examples whose inputs differ only in case, whitespace and punctuation stay together. With `stratify`, the name of an
        expectation such as `"expected_response"`, each of its values has its share on both sides.
        """
        if not 0 < share < 1:
            raise UserError(f"share is a number between 0 and 1, not {share!r}")
        rest, held_out = split_examples(self.examples, share, seed, stratify=stratify)
        return Dataset(rest), Dataset(held_out)

    def to_frame(self) -> Any:
        """Return a pandas frame with columns `inputs` and `expectations`. Raises `UserError` without pandas."""
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


def is_dataset_uri(data: Any) -> bool:
    """Return whether `data` claims to name a dataset of a registry."""
    return isinstance(data, str) and data.startswith("datasets:")


def parse_dataset_uri(name_or_uri: str, version: int | None = None) -> tuple[str, int | None]:
    """Return the name and version that `name`, `datasets:/name`, `datasets:/name/3` or `datasets:/name@latest` means.

    The version is None for the newest one. Raises `InvalidURI` when two versions are named, `InvalidName` for a bad name.
    """
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
    return uri.check_name(name, "data set"), version


def merge_examples(stored: Sequence[Example], new: Iterable[Example]) -> list[Example]:
    """Return the examples of both, each once; new expectations of inputs that are stored are added to the stored ones.

    Inputs that are stored several times, with different expectations, stay as they are: the new example is another one.
    """
    examples = list(stored)
    positions: dict[str, list[int]] = {}
    for i, example in enumerate(examples):
        positions.setdefault(digest(example.inputs), []).append(i)
    for example in new:
        found = positions.setdefault(digest(example.inputs), [])
        if len(found) == 1:
            old = examples[found[0]]
            examples[found[0]] = Example(old.inputs, freeze({**old.expectations, **example.expectations}))
        elif example.expectations not in [examples[i].expectations for i in found]:
            found.append(len(examples))
            examples.append(Example(example.inputs, example.expectations))
    return examples


def frame_of(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Return a pandas frame of rows. Raises `UserError` without pandas."""
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise UserError("pandas is not installed: pip install pandas") from error
    return pandas.DataFrame(list(rows))
