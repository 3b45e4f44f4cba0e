"""Runs, and what is noted about them, with MLflow's names."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from prompt_registry_plugin.errors import PromptRegistryError, UserError
from prompt_registry_plugin.masking import mask_url
from prompt_registry_plugin.mlflow.exceptions import raises_mlflow
from prompt_registry_plugin.prompts.context import current_run_id, inside_run
from prompt_registry_plugin.records import TrackedRun
from prompt_registry_plugin.registry import tracked_runs as tracked
from prompt_registry_plugin.registry.current import DEFAULT_URL
from prompt_registry_plugin.tracing.trace import error_text

logger = logging.getLogger(__name__)


class _Active(threading.local):
    """The runs that are active in a thread, as MLflow has it: cells of a notebook are contexts of their own in one thread."""

    def __init__(self) -> None:
        self.runs: list[ActiveRun] = []


_experiment = ["Default"]  # of the process
_told: set[str] = set()


@raises_mlflow
def set_tracking_uri(uri: str) -> None:
    """The registry of this process: `sqlite:///file.db` or `postgresql://…`. Raises `UserError` for MLflow's servers and folders."""
    os.environ["PROMPT_REGISTRY_URL"] = check_uri(uri)


@raises_mlflow
def check_uri(uri: str) -> str:
    """The URL of a registry of ours. Raises `UserError` for another."""
    if not str(uri).startswith(("sqlite:", "postgresql:", "postgres:")):
        raise UserError(
            f"{uri!r} is a server or folder of MLflow's; prompts are kept in sqlite:///prompts.db or postgresql://… here. "
            "`prompt-registry import mlflow URI` brings the prompts that are there"
        )
    return str(uri)


@raises_mlflow
def set_registry_uri(uri: str) -> None:
    """The same: prompts, traces and runs are in one place. The names of MLflow's own registries change nothing, which is told once."""
    if str(uri).startswith(("databricks", "uc")):
        if uri not in _told:
            _told.add(uri)
            logger.warning("set_registry_uri(%r) changes nothing: prompts are in %s", uri, mask_url(get_tracking_uri()))
        return
    set_tracking_uri(uri)


def get_tracking_uri() -> str:
    """The URL of the registry in use."""
    return os.environ.get("PROMPT_REGISTRY_URL") or DEFAULT_URL


@dataclass(frozen=True, slots=True)
class Experiment:
    """A name that runs are listed under."""

    name: str

    @property
    def experiment_id(self) -> str:
        """The name."""
        return self.name


@raises_mlflow
def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None) -> Experiment:
    """The experiment that runs from here on belong to."""
    name = experiment_name or experiment_id
    if not name:
        raise UserError("set_experiment takes the name of an experiment")
    _experiment[0] = name
    return Experiment(name)


def create_experiment(name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None) -> str:
    """The id of an experiment, which is its name: there is nothing to make."""
    return name


def chosen_experiment() -> str | None:
    """What `set_experiment` was told, if it was."""
    return None if _experiment[0] == "Default" else _experiment[0]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What identifies a run. `status` is RUNNING, FINISHED or FAILED."""

    run_id: str
    run_name: str
    experiment_id: str
    status: str


@dataclass(frozen=True, slots=True)
class RunData:
    """What was logged: parameters and tags as texts, of each metric the last value."""

    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class Run:
    """A stored run, read when it is looked at."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id

    @property
    def info(self) -> RunInfo:
        """Its id, name, experiment and state."""
        run = tracked.load_run(self._run_id)
        status = "RUNNING" if run.ended_at is None else "FAILED" if run.error else "FINISHED"
        return RunInfo(run.id, run.name, run.experiment, status)

    @property
    def data(self) -> RunData:
        """What was logged so far."""
        run = tracked.load_run(self._run_id)
        return RunData(run.params, run.metrics, run.tags)


class ActiveRun(Run):
    """A run that traces belong to and values are logged to, until its `with` block, or `end_run`, ends it."""

    def __init__(self, run: TrackedRun) -> None:
        super().__init__(run.id)
        self.run_id = run.id
        self._scope = inside_run(run.id)
        self._scope.__enter__()

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.end(None if error is None else error_text(error))

    def end(self, error: str | None = None) -> None:
        """Ends it; once."""
        if self not in _open:
            return
        _open.remove(self)
        if self in _active.runs:
            _active.runs.remove(self)
        self._scope.__exit__(None, None, None)
        tracked.finish_run(self.run_id, error)


_active = _Active()
_open: list[ActiveRun] = []  # of all threads


@atexit.register
def _end_all() -> None:
    """A script that ends has finished what it began, as with MLflow."""
    for run in reversed(list(_open)):  # a copy, since `end` removes the run
        with suppress(PromptRegistryError):
            run.end()


@raises_mlflow
def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
) -> ActiveRun:
    """Begins a run, or goes on with the one of that id. Raises `UserError` while another is active, unless `nested`."""
    if (active := active_run()) is not None and not nested:
        raise UserError(f"run {active.run_id} is active: end it with mlflow.end_run(), or start_run(nested=True)")
    if run_id is not None:
        tracked.load_run(run_id)  # a mistyped id is no new run
    run = ActiveRun(tracked.begin_run(experiment_id or _experiment[0], run_name or "run", run_id=run_id))
    _active.runs.append(run)
    _open.append(run)
    tracked.note(run.run_id, "tags", {**(tags or {}), **({"description": description} if description else {})})
    return run


def end_run(status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
    """Ends the active run, if there is one."""
    if (run := active_run()) is not None:
        run.end(None if status == "FINISHED" else status)


def active_run() -> ActiveRun | None:
    """The run that is active here."""
    return _active.runs[-1] if _active.runs else None


def run_of_this_work() -> str | None:
    """The id of the run that is active in this thread, that this code works for, or that another thread began last."""
    if (run := active_run()) is not None:
        return run.run_id
    if (here := current_run_id()) is not None:
        return here
    return _open[-1].run_id if _open else None


@raises_mlflow
def create_run(experiment_id: str | None = None, run_name: str | None = None, tags: Mapping[str, Any] | None = None) -> Run:
    """A stored run that is not active anywhere."""
    run = tracked.begin_run(experiment_id or _experiment[0], run_name or "run")
    tracked.note(run.id, "tags", tags or {})
    return Run(run.id)


@raises_mlflow
def get_run(run_id: str) -> Run:
    """A stored run. Raises `UserError` when there is none."""
    tracked.load_run(run_id)
    return Run(run_id)


def log_param(key: str, value: Any) -> Any:
    """Notes a parameter of the active run; one is begun where none is."""
    log_params({key: value})
    return value


@raises_mlflow
def log_params(params: Mapping[str, Any]) -> None:
    """Notes several."""
    tracked.note(_run_id(), "params", params)


def log_metric(key: str, value: float, step: int | None = None) -> None:
    """Notes a metric of the active run, of which the last value is kept."""
    log_metrics({key: value})


@raises_mlflow
def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Notes several."""
    tracked.note(_run_id(), "metrics", metrics)


def set_tag(key: str, value: Any) -> None:
    """Notes a tag of the active run."""
    set_tags({key: value})


@raises_mlflow
def set_tags(tags: Mapping[str, Any]) -> None:
    """Notes several."""
    tracked.note(_run_id(), "tags", tags)


def _run_id() -> str:
    """The active run of this thread, or the one that this code works for; where there is none, one is begun."""
    if (run := active_run()) is not None:
        return run.run_id
    here = current_run_id()
    return here if here and any(run.run_id == here for run in list(_open)) else start_run().run_id
