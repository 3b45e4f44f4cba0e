"""Tracked runs: a stretch of work with its parameters and metrics, which the traces that are recorded in it belong to."""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from prompt_registry_plugin.current import current_registry
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.masking import Masker
from prompt_registry_plugin.records import EMPTY, TrackedRun, utc_now
from prompt_registry_plugin.scope import inside_run

_noting = threading.Lock()  # threads note things about one run


@contextmanager
def tracked_run(
    experiment: str, name: str, *, params: Mapping[str, Any] = EMPTY, run_id: str | None = None
) -> Iterator[TrackedRun]:
    """A scope whose traces belong to a run, which is stored as it begins and as it ends. With `run_id`, one that is there goes on."""
    runs = current_registry().store.runs
    run = runs.tracked(run_id) if run_id else None
    if run is None:
        run = TrackedRun(run_id or secrets.token_hex(16), experiment, name, utc_now())
    runs.track(replace(run, params={**run.params, **_texts(params)}, ended_at=None, error=None))
    try:
        with inside_run(run.id):
            yield run
    except BaseException as error:
        finish_run(run.id, f"{type(error).__name__}: {error}")
        raise
    finish_run(run.id)


def finish_run(run_id: str, error: str | None = None) -> None:
    """Notes that a run ended."""
    with _noting:
        current_registry().store.runs.track(replace(load_run(run_id), ended_at=utc_now(), error=error))


def note(run_id: str, *, params: Mapping[str, Any] = EMPTY, metrics: Mapping[str, float] = EMPTY) -> None:
    """Adds parameters, kept as texts, and metrics to a run. Raises `UserError` for what is no number and a parameter that changed."""
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"metric {name!r} is a finite number, not {value!r}")
    texts, numbers = _texts(params), {name: float(value) for name, value in metrics.items()}
    with _noting:
        run = load_run(run_id)
        if changed := [name for name, value in texts.items() if run.params.get(name, value) != value]:
            raise UserError(
                f"parameter {changed[0]!r} of run {run_id} is {run.params[changed[0]]!r} already; parameters do not change"
            )
        current_registry().store.runs.track(replace(run, params={**run.params, **texts}, metrics={**run.metrics, **numbers}))


def load_run(run_id: str) -> TrackedRun:
    """A tracked run. Raises `UserError` when there is none."""
    found = current_registry().store.runs.tracked(run_id)
    if found is None:
        raise UserError(f"no tracked run {run_id!r} in {current_registry().place}")
    return found


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    mask = Masker()
    return {str(name): mask.text(str(value)) for name, value in params.items()}
