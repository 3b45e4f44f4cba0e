"""Datasets of a registry: registering, merging, loading and listing them."""

from __future__ import annotations

from prompt_registry_plugin import uri
from prompt_registry_plugin.datasets.dataset import Dataset, is_dataset_uri, merge_examples, parse_dataset_uri
from prompt_registry_plugin.datasets.examples import Data, load_examples, unique
from prompt_registry_plugin.errors import DatasetNotFound, did_you_mean
from prompt_registry_plugin.records import DatasetSummary, Example
from prompt_registry_plugin.registry.base import RegistryBase, current_user


def register_dataset(registry: RegistryBase, name: str, data: Data, *, commit_message: str | None = None) -> Dataset:
    """Register the next version of a dataset, each example once, and return it.

    Where the newest version has the same examples, it is returned instead. Raises `InvalidExample`.
    """
    uri.check_name(name, "data set")
    examples = unique(examples_of(registry, data))
    written = registry.store.datasets.add(name, examples, by=current_user(), commit_message=commit_message)
    assert written is not None  # only an expected version can be refused
    return load_dataset(registry, name, written.version)


def merge_records(registry: RegistryBase, name: str, data: Data, *, commit_message: str | None = None) -> Dataset:
    """Register a version of a dataset with the examples of `data` added, and return it. A new dataset is made if needed.

    An example whose inputs are there already adds its expectations to them, and replaces those of the same name.
    """
    uri.check_name(name, "data set")
    table, new = registry.store.datasets, examples_of(registry, data)
    while True:
        found = table.get(name)
        stored, version = (found[1], found[0].version) if found else ([], 0)
        merged = merge_examples(stored, new)
        written = table.add(name, merged, by=current_user(), commit_message=commit_message, expected=version)
        if written is not None:  # else another process added examples since they were read: merge with those as well
            return load_dataset(registry, name, written.version)


def load_dataset(registry: RegistryBase, name_or_uri: str, version: int | None = None) -> Dataset:
    """Return a dataset: the newest version, or the one that a number or `datasets:/name/3` names. Raises `DatasetNotFound`."""
    name, version = parse_dataset_uri(name_or_uri, version)
    found = registry.store.datasets.get(name, version)
    if found is None:
        known = [summary.name for summary in registry.store.datasets.newest()]
        missing = f"data set {name!r} has no version {version}" if name in known else f"no data set {name!r}"
        raise DatasetNotFound(f"{missing} in {registry.place}{did_you_mean(name, set(known) - {name})}")
    return Dataset(found[1], found[0])


def list_datasets(registry: RegistryBase) -> list[DatasetSummary]:
    """Return the newest version of every dataset, by name."""
    return registry.store.datasets.newest()


def examples_of(registry: RegistryBase, data: Data, what: str = "data") -> list[Example]:
    """Return the examples of data in any form (see `Data`); `datasets:/name` is read from the registry.

    `what` is how errors name the data. Raises `InvalidExample` and `DatasetNotFound`.
    """
    if isinstance(data, str) and is_dataset_uri(data):
        return list(load_dataset(registry, data))
    return load_examples(data, what)
