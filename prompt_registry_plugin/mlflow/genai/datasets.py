"""`create_dataset` and `merge_records`: handles on the data sets of the registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.datasets.dataset import SCHEME, Dataset
from prompt_registry_plugin.errors import DatasetNotFound
from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.exceptions import raises_mlflow
from prompt_registry_plugin.records import Example
from prompt_registry_plugin.registry import functions
from prompt_registry_plugin.tracing.trace import Trace


class EvaluationDataset:
    """A data set by name: always its newest version, or none while it has no rows. It is data wherever rows are wanted."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def dataset_id(self) -> str:
        """The URI of its newest version."""
        return self._dataset().uri if self.has_records() else f"{SCHEME}{self.name}"

    @raises_mlflow
    def merge_records(self, records: Any) -> EvaluationDataset:
        """Adds rows (a list, a pandas frame, traces): a new version. Rows with inputs that are there gain expectations."""
        if hasattr(records, "columns") and "trace" in records.columns:
            records = list(records["trace"])
        if isinstance(records, list) and records and all(isinstance(record, Trace) for record in records):
            records = Dataset.from_traces(records)
        functions.merge_records(self.name, records)
        return self

    def has_records(self) -> bool:
        """Whether there are rows."""
        try:
            return len(self._dataset()) > 0
        except DatasetNotFound:
            return False

    @raises_mlflow
    def to_df(self) -> Any:
        """A pandas frame with the columns `inputs` and `expectations`."""
        return self._dataset().to_frame()

    def _dataset(self) -> Dataset:
        return functions.load_dataset(self.name)

    def __len__(self) -> int:
        return len(self._dataset()) if self.has_records() else 0

    def __iter__(self) -> Iterator[Example]:
        return iter(self._dataset())

    def __repr__(self) -> str:
        return f"<data set {self.name!r}: {len(self)} rows>"


@raises_mlflow
def create_dataset(name: str, experiment_id: Any = None, tags: Mapping[str, str] | None = None) -> EvaluationDataset:
    """A data set of that name, to merge records into; the one that is there, if it is."""
    return EvaluationDataset(uri.check_name(name, "data set"))


@raises_mlflow
def get_dataset(name: str | None = None, dataset_id: str | None = None) -> EvaluationDataset:
    """A data set that is there. Raises `DatasetNotFound`."""
    return EvaluationDataset(functions.load_dataset(name or dataset_id or "").name)


@raises_mlflow
def search_datasets(**_filters: Any) -> list[EvaluationDataset]:
    """All data sets."""
    return [EvaluationDataset(summary.name) for summary in functions.list_datasets()]


def __getattr__(name: str) -> Any:
    missing("mlflow.genai.datasets", name)
