"""Show progress: a live bar with rollouts, best score, elapsed and remaining time; without a terminal, a few lines."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from prompt_registry_plugin.evaluation.options import Event, OnEvent
from prompt_registry_plugin.masking.controls import visible

logger = logging.getLogger(__name__)
_SECONDS_BETWEEN_COUNTS = 10.0  # a log of a long run stays readable


@contextmanager
def default_progress(on_event: OnEvent | None = None) -> Iterator[OnEvent]:
    """Yield `on_event`; without one, a listener that shows progress on standard error, as a bar on a terminal and as lines elsewhere.

    An exception in `on_event` is logged.
    """
    if on_event is not None:
        yield _log_exceptions(on_event)
    elif sys.stderr.isatty() and find_spec("rich") is not None:  # of the extra `cli`
        with live_progress() as show:
            yield show
    else:
        yield _Lines()


def _log_exceptions(on_event: OnEvent) -> OnEvent:
    """Return a listener that logs exceptions and raises none: watching a run must not be able to end it."""

    def listen(event: Event) -> None:
        try:
            on_event(event)
        except Exception:
            logger.exception("the on_event listener failed at %s", event)

    return listen


@contextmanager
def live_progress() -> Iterator[OnEvent]:
    """Yield a listener that shows a bar for each task on standard error, and below it what a search has spent and is working on."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} rollouts"),
        TextColumn("score {task.fields[best]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    progress, below = (
        Progress(*columns, console=console, auto_refresh=False),
        Text(style="dim", overflow="ellipsis", no_wrap=True),
    )
    with Live(Group(progress, below), console=console, refresh_per_second=8):
        tasks: dict[str, TaskID] = {}

        def show(event: Event) -> None:
            if event.task not in tasks:
                tasks[event.task] = progress.add_task(event.task, total=event.total, best="–")
            if event.kind in ("rollout", "finished", "started"):
                # A search may end before its budget is spent: the bar is full then, too.
                total = event.done if event.kind == "finished" else event.total
                progress.update(tasks[event.task], completed=event.done, total=total)
            if event.best is not None:
                interval = event.detail.get("interval")
                bounds = "" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]"
                progress.update(tasks[event.task], best=f"{event.best:.3f}{bounds}")
            below.plain = visible("\n".join(_describe_search(event.detail)))
            if event.text:
                console.print(Text(f"  {visible(event.text)}", style="dim"))  # never as markup: it may quote a prompt

        yield show


def _describe_search(detail: Mapping[str, Any]) -> list[str]:
    """Return what a search has spent and is working on, in at most six lines; nothing for an evaluation."""
    if "reflections" not in detail:
        return []
    money = f", ${detail['dollars']:.4f}" if detail["dollars"] else ""
    spent = f"{detail['tokens']:,} tokens{money}, {detail['reflections']} reflections; the budget is {detail['budget']}"
    kept = f"{detail['candidates']} candidates, {detail['kept']} kept"
    return [f"  {spent}", f"  {kept}", *(f"  at work on {what}" for what in detail["now"][:4])]


class _Lines:
    """Writes the text of events to standard error as they come, and a count every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        if event.text:
            self._write(f"{event.task}: {event.text}")
        elif event.total and time.monotonic() - self._last > _SECONDS_BETWEEN_COUNTS:
            best = "" if event.best is None else f", score {event.best:.3f}"
            self._write(f"{event.task}: {event.done} of {event.total} rollouts{best}")

    def _write(self, line: str) -> None:
        self._last = time.monotonic()
        sys.stderr.write(visible(line) + "\n")
