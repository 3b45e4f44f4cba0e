"""Traces, and what people say of them, with MLflow's names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial, wraps
from typing import Any, Literal, overload

from prompt_registry_plugin.datasets.dataset import frame_of
from prompt_registry_plugin.datasets.examples import step_of
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation import playground as trying
from prompt_registry_plugin.mlflow.exceptions import raises_mlflow
from prompt_registry_plugin.mlflow.runs import active_run
from prompt_registry_plugin.prompts.context import current_recorder, current_run_id, inside_run, recording
from prompt_registry_plugin.recording import decorator as steps
from prompt_registry_plugin.records import EMPTY, TraceFeedback
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.tracing.recorder import TraceRecorder
from prompt_registry_plugin.tracing.trace import Trace


def trace(func: Callable[..., Any] | None = None, name: str | None = None, span_type: str | None = None, **_more: Any) -> Any:
    """A decorator: calls of the function are recorded and stored, or are steps of the recording that they happen in.

    Coroutine functions and generators too. `span_type` and `attributes` are not kept.
    """
    if func is None:
        return lambda function: trace(function, name, span_type)
    called = name or str(getattr(func, "__name__", "trace"))
    traced = steps.trace_function(func, name, partial(_RecordedStream, called))
    if traced is func or inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        return traced  # an object of a framework is recorded by its adapter, a generator by its stream
    if inspect.iscoroutinefunction(func):

        @wraps(traced)
        async def record_async_call(*args: Any, **kwargs: Any) -> Any:
            with recorded(called):
                return await traced(*args, **kwargs)

        return record_async_call

    @wraps(traced)
    def record_call(*args: Any, **kwargs: Any) -> Any:
        with recorded(called):
            return traced(*args, **kwargs)

    return record_call


class _RecordedStream(steps.Stream):
    """A generator's span, in a recording of its own where none is under way: open only while an item is made, as the span is."""

    def __init__(self, called: str, name: str, inputs: Callable[[], Mapping[str, Any]]) -> None:
        run_id = current_run_id() or (run.run_id if (run := active_run()) else None)
        self._trace = None if current_recorder() is not None else TraceRecorder(called, run_id=run_id)
        with self._recording():
            super().__init__(name, inputs)

    @contextmanager
    def step(self) -> Iterator[None]:
        """The scope in which an item is made."""
        with self._recording(), super().step():
            yield

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        super().__exit__(kind, error, traceback)
        if self._trace is not None:
            current_registry().store.traces.add(self._trace)

    def _recording(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._trace is None else recording(self._trace)


class recorded:  # noqa: N801  a context manager
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
    found = current_registry().search_traces(run_id=run_id, max_results=max_results, **wanted)
    if return_type == "list":
        return found
    return frame_of(_row(trace) for trace in found)


@raises_mlflow
def get_trace(trace_id: str) -> Trace | None:
    """A stored trace."""
    return current_registry().store.traces.get(trace_id)


@raises_mlflow
def log_feedback(
    *, trace_id: str, name: str = "feedback", value: Any = None, rationale: str | None = None, **_more: Any
) -> TraceFeedback:
    """Notes what somebody thinks of a trace. False, and `"no"`, reject its answer."""
    return current_registry().log_feedback(trace_id, value, name=name, rationale=rationale)


@raises_mlflow
def log_expectation(*, trace_id: str, name: str, value: Any, **_more: Any) -> TraceFeedback:
    """Notes what should have come out of a trace, such as `name="expected_response"`."""
    return current_registry().log_feedback(trace_id, name=name, expectations={name: value})


@raises_mlflow
def load_table(
    artifact_file: str | None = None, run_ids: Sequence[str] | None = None, extra_columns: Sequence[str] | None = None
) -> Any:
    """Every input and output that `prompt-registry try --save` kept, as a pandas frame; `artifact_file` has no meaning here.

    `extra_columns` may ask for `run_id`; a run is a prompt's version with a model and its settings.
    """
    frame = trying.load_table()
    wanted = [*(extra_columns or ())]
    if unknown := [column for column in wanted if column not in frame.columns and len(frame.columns)]:
        raise UserError(f"there is no column {unknown[0]!r}; there are {', '.join(frame.columns)}")
    if run_ids is not None:
        frame = frame[frame["run_id"].isin(list(run_ids))]
    return frame if "run_id" in wanted or "run_id" not in frame.columns else frame.drop(columns=["run_id"])


def _row(trace: Trace) -> dict[str, Any]:
    step = step_of(trace) or (EMPTY, None)
    return {
        "trace_id": trace.id,
        "trace": trace,
        "request": dict(step[0]),
        "response": step[1],
        "state": "ERROR" if trace.error or any(span.error for span in trace.spans) else "OK",
        "request_time": datetime.fromtimestamp(trace.started_at, UTC),
        "execution_duration": 1000 * trace.seconds,
    }
