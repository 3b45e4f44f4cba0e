"""Runs, traces and feedback with MLflow's names, on ours."""

from __future__ import annotations

import atexit
import inspect
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from types import TracebackType
from typing import Any, Literal, overload

from prompt_registry_plugin import curation, reviewing, steps, tracked
from prompt_registry_plugin.current import DEFAULT_URL, current_registry
from prompt_registry_plugin.datasets import step_of
from prompt_registry_plugin.errors import PromptRegistryError, UserError
from prompt_registry_plugin.records import EMPTY, TraceFeedback, TrackedRun
from prompt_registry_plugin.scope import current_recorder, current_run_id, inside_run, recording
from prompt_registry_plugin.tracing import Trace, error_text


class _Active(threading.local):
    """The runs that are active in a thread, as MLflow has it: cells of a notebook are contexts of their own in one thread."""

    def __init__(self) -> None:
        self.runs: list[ActiveRun] = []


_experiment = ["Default"]  # of the process


def set_tracking_uri(uri: str) -> None:
    """The registry of this process: `sqlite:///file.db` or `postgresql://…`. Raises `UserError` for MLflow's servers and folders."""
    os.environ["PROMPT_REGISTRY_URL"] = check_uri(uri)


def check_uri(uri: str) -> str:
    """The URL of a registry of ours. Raises `UserError` for another."""
    if not str(uri).startswith(("sqlite:", "postgresql:", "postgres:")):
        raise UserError(
            f"{uri!r} is a server or folder of MLflow's; prompts are kept in sqlite:///prompts.db or postgresql://… here. "
            "`prompt-registry import mlflow URI` brings the prompts that are there"
        )
    return str(uri)


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


def set_experiment(experiment_name: str | None = None, experiment_id: str | None = None) -> Experiment:
    """The experiment that runs from here on belong to."""
    name = experiment_name or experiment_id
    if not name:
        raise UserError("set_experiment takes the name of an experiment")
    _experiment[0] = name
    return Experiment(name)


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
    for run in _open:
        with suppress(PromptRegistryError):
            run.end()


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


def get_run(run_id: str) -> Run:
    """A stored run. Raises `UserError` when there is none."""
    tracked.load_run(run_id)
    return Run(run_id)


def log_param(key: str, value: Any) -> Any:
    """Notes a parameter of the active run; one is begun where none is."""
    log_params({key: value})
    return value


def log_params(params: Mapping[str, Any]) -> None:
    """Notes several."""
    tracked.note(_run_id(), "params", params)


def log_metric(key: str, value: float, step: int | None = None) -> None:
    """Notes a metric of the active run, of which the last value is kept."""
    log_metrics({key: value})


def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Notes several."""
    tracked.note(_run_id(), "metrics", metrics)


def set_tag(key: str, value: Any) -> None:
    """Notes a tag of the active run."""
    set_tags({key: value})


def set_tags(tags: Mapping[str, Any]) -> None:
    """Notes several."""
    tracked.note(_run_id(), "tags", tags)


def _run_id() -> str:
    """The active run of this thread, or the one that this code works for; where there is none, one is begun."""
    if (run := active_run()) is not None:
        return run.run_id
    here = current_run_id()
    return here if here and any(run.run_id == here for run in list(_open)) else start_run().run_id


# --- traces --------------------------------------------------------------------------------------------------------------------


def trace(func: Callable[..., Any] | None = None, name: str | None = None, span_type: str | None = None, **_more: Any) -> Any:
    """A decorator: calls of the function are recorded and stored, or are steps of the recording that they happen in.

    Coroutine functions and generators too. `span_type` and `attributes` are not kept.
    """
    if func is None:
        return lambda function: trace(function, name, span_type)
    traced = steps.trace(func, name=name)
    called = name or str(getattr(func, "__name__", "trace"))
    if traced is func:
        return traced  # an object of a framework: its adapter records it

    if inspect.isasyncgenfunction(func):

        @wraps(traced)
        async def recorded_async_generator(*args: Any, **kwargs: Any) -> Any:
            scope, items = _Stepwise(called), traced(*args, **kwargs)
            step = items.asend(None)
            try:
                while True:
                    with scope.step():
                        item = await step
                    try:
                        step = items.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001  handed on to the generator, whose matter it is
                        step = items.athrow(error)
            except StopAsyncIteration:
                return
            finally:
                with scope.step():
                    await items.aclose()
                scope.store()

        return recorded_async_generator
    if inspect.isgeneratorfunction(func):

        @wraps(traced)
        def recorded_generator(*args: Any, **kwargs: Any) -> Any:
            scope, items = _Stepwise(called), traced(*args, **kwargs)
            advance, given = items.send, None
            try:
                while True:
                    with scope.step():
                        item = advance(given)
                    try:
                        advance, given = items.send, (yield item)
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001  handed on to the generator, whose matter it is
                        advance, given = items.throw, error
            except StopIteration as end:
                return end.value
            finally:
                with scope.step():
                    items.close()
                scope.store()

        return recorded_generator
    if inspect.iscoroutinefunction(func):

        @wraps(traced)
        async def recorded_async(*args: Any, **kwargs: Any) -> Any:
            with _recording(called):
                return await traced(*args, **kwargs)

        return recorded_async

    @wraps(traced)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        with _recording(called):
            return traced(*args, **kwargs)

    return recorded


class _Stepwise:
    """A recording that is open only while a generator makes an item: what its caller does in between is no part of it."""

    def __init__(self, name: str) -> None:
        run_id = current_run_id() or (run.run_id if (run := active_run()) else None)
        self._trace = None if current_recorder() is not None else Trace(name, run_id=run_id)

    def step(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._trace is None else recording(self._trace)

    def store(self) -> None:
        if self._trace is not None:
            current_registry().store.traces.add(self._trace)


class _recording:  # noqa: N801  a context manager
    """A recording of its own, unless one is under way."""

    def __init__(self, name: str) -> None:
        self._scope = ExitStack()
        self._name = name

    def __enter__(self) -> None:
        if current_recorder() is None:
            if current_run_id() is None and (run := active_run()) is not None:  # begun in another cell
                self._scope.enter_context(inside_run(run.run_id))
            self._scope.enter_context(current_registry().record(self._name))

    def __exit__(self, *error: Any) -> None:
        self._scope.__exit__(*error)


@overload
def search_traces(*, return_type: Literal["list"], **wanted: Any) -> list[Trace]: ...
@overload
def search_traces(*, return_type: Literal["pandas"] = ..., **wanted: Any) -> Any: ...
def search_traces(
    *, return_type: Literal["list", "pandas"] = "pandas", run_id: str | None = None, max_results: int = 100, **wanted: Any
) -> Any:
    """The stored traces, newest first, as a list or a pandas frame. `run_id` leaves only those of a run.

    MLflow's `filter_string` and `experiment_ids` are not carried; what `prompt_registry_plugin.search_traces` takes is taken here too.
    """
    if gone := sorted(wanted.keys() & {"filter_string", "experiment_ids", "locations", "order_by"}):
        raise UserError(f"search_traces takes no {gone[0]}; it takes name, prompt, run_id, since, until, failed and max_results")
    found = reviewing.search_traces(run_id=run_id, max_results=max_results, **wanted)
    if return_type == "list":
        return found
    return curation.frame_of(_row(trace) for trace in found)


def get_trace(trace_id: str) -> Trace | None:
    """A stored trace."""
    return current_registry().store.traces.get(trace_id)


def log_feedback(
    *, trace_id: str, name: str = "feedback", value: Any = None, rationale: str | None = None, **_more: Any
) -> TraceFeedback:
    """Notes what somebody thinks of a trace. False, and `"no"`, reject its answer."""
    return reviewing.log_feedback(trace_id, value, name=name, rationale=rationale)


def log_expectation(*, trace_id: str, name: str, value: Any, **_more: Any) -> TraceFeedback:
    """Notes what should have come out of a trace, such as `name="expected_response"`."""
    return reviewing.log_feedback(trace_id, name=name, expectations={name: value})


def load_table(
    artifact_file: str | None = None, run_ids: Sequence[str] | None = None, extra_columns: Sequence[str] | None = None
) -> Any:
    """Every input and output that `prompt-registry try --save` kept, as a pandas frame; `artifact_file` has no meaning here.

    `extra_columns` may ask for `run_id`; a run is a prompt's version with a model and its settings.
    """
    from prompt_registry_plugin.trying import load_table as ours

    frame = ours()
    wanted = [*(extra_columns or ())]
    if unknown := [column for column in wanted if column not in frame.columns and len(frame.columns)]:
        raise UserError(f"there is no column {unknown[0]!r}; there are {', '.join(frame.columns)}")
    if run_ids is not None:
        frame = frame[frame["run_id"].isin(list(run_ids))]
    return frame if "run_id" in wanted or "run_id" not in frame.columns else frame.drop(columns=["run_id"])


def _row(trace: Trace) -> dict[str, Any]:
    step = step_of(trace) or (EMPTY, None)
    ends = [span.ended_at for span in trace.spans if span.ended_at is not None]
    return {
        "trace_id": trace.id,
        "trace": trace,
        "request": dict(step[0]),
        "response": step[1],
        "state": "ERROR" if any(span.error for span in trace.spans) else "OK",
        "request_time": datetime.fromtimestamp(trace.started_at, UTC),
        "execution_duration": 1000 * (max(ends) - trace.started_at) if ends else 0.0,
    }
