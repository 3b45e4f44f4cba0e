"""Tracked runs: periods of work with parameters and metrics. Traces that are recorded in one belong to it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.masking import Masker
from prompt_registry_plugin.prompts.context import inside_run
from prompt_registry_plugin.records import EMPTY, NoteKind, TrackedRun, utc_now
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.tracing.trace import error_text


@contextmanager
def tracked_run(
    experiment: str, name: str, *, params: Mapping[str, Any] = EMPTY, run_id: str | None = None
) -> Iterator[TrackedRun]:
    """Let all traces of a block belong to a tracked run, which is stored when the block starts and when it ends.

    With `run_id`, a run with that id is continued if it exists.
    """
    run = begin_run(experiment, name, run_id=run_id)
    note(run.id, "params", params)
    try:
        with inside_run(run.id):
            yield run
    except BaseException as error:
        finish_run(run.id, error_text(error))
        raise
    finish_run(run.id)


def begin_run(experiment: str, name: str, *, run_id: str | None = None) -> TrackedRun:
    """Start a tracked run, or continue the one with that id if it exists."""
    runs = current_registry().store.runs
    run = (runs.tracked(run_id) if run_id else None) or TrackedRun(run_id or secrets.token_hex(16), experiment, name, utc_now())
    runs.track(replace(run, ended_at=None, error=None))
    return run


def finish_run(run_id: str, error: str | None = None) -> None:
    """Store that a tracked run ended, and the error that ended it."""
    current_registry().store.runs.track(replace(load_run(run_id), ended_at=utc_now(), error=error))


def note(run_id: str, kind: NoteKind, notes: Mapping[str, Any]) -> None:
    """Store parameters or tags as strings, or metrics as numbers.

    Raises `UserError` for a metric that is not a number, and for a parameter that would change.
    """
    load_run(run_id)
    values = {
        str(name): _number(name, value) if kind == "metrics" else Masker().text(str(value)) for name, value in notes.items()
    }
    for name, before in current_registry().store.runs.note(run_id, kind, values).items():
        raise UserError(f"parameter {name!r} of run {run_id} is {before!r} already; parameters do not change")


def load_run(run_id: str) -> TrackedRun:
    """Return a tracked run. Raises `UserError` for an unknown id."""
    found = current_registry().store.runs.tracked(run_id)
    if found is None:
        raise UserError(f"no tracked run {run_id!r} in {current_registry().place}")
    return found


def _number(name: str, value: Any) -> float:
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"metric {name!r} is a finite number, not {value!r}")
    return number
