"""Finds lost contexts: a prompt that was loaded or rendered without the candidate while a rollout ran.

In a rollout that never rendered the candidate, one of two things happened. The row went elsewhere: a workflow routed it to another
agent, and nobody asked for the prompt. Or the context was lost: a thread or process asked for it and got the stored text. Only the second
is an error. So each rollout is a **watch**, and each use of a prompt outside of all rollouts is noted for the watches that are open.

Nothing links a lost thread to its rollout. If several run at once, the values that the prompt was rendered with decide, as they mostly come
from the row. If they do not tell, each of these rollouts is a suspect. Another process appends what it uses to a file that the environment
or the fork names; a process that was started before the first rollout does not know it.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

from prompt_registry_plugin.concurrency import unwatched
from prompt_registry_plugin.forks import ForkAware, watch_forks

logger = logging.getLogger(__name__)

_VARIABLE = "_PROMPT_REGISTRY_ROLLOUTS"  # the file that processes which are started during a rollout report to
_NO_ROLLOUT = 0  # the number that a process reports with that has no rollout's context
_MIN_PART = 8  # characters of an input that counts when it is only a part of a value
_MAX_LEAVES, _MAX_DEPTH = 500, 8
_MAX_REPORTED = 1_000_000  # bytes: a process that goes on after the evaluation must not fill the disk

watching = False
"""Whether a rollout runs, here or in the process that started this one. Read it before `note`."""

_watches: tuple[Watch, ...] = ()  # replaced as a whole, so that a reader needs no lock
_numbers = itertools.count(1)
_lock = threading.Lock()
_loads: dict[tuple[int, str], _Stray] = {}  # by thread and name: loaded, and perhaps rendered next
_ends: dict[int, int] = {}  # by number of a watch that ended: the length of the reports at that time
_reports: _Reports | None = None


class Watch:
    """One rollout, while it runs."""

    def __init__(self, names: Iterable[str], inputs: Any, on_render: Callable[[str], None]) -> None:
        self.names = frozenset(names)
        self.texts = frozenset(_leaves(inputs))
        self.strays: list[_Stray] = []
        self._on_render = on_render
        self._number = next(_numbers)
        self._pid = os.getpid()
        self._start = 0

    def report_render(self, name: str) -> None:
        """Tell the process of the rollout that a fork of it rendered a candidate. In the process itself there is nothing to do."""
        if os.getpid() != self._pid and _reports is not None:
            _reports.add(self._number, name)

    def lost(self, renders: Mapping[str, int]) -> dict[str, str]:
        """Return the prompts that were not rendered here but without the candidate, by name, and where that was."""
        mine = [stray for stray in self.strays if self in stray.suspects and not renders.get(stray.name)]
        return {stray.name: stray.where + (_OR_ANOTHER if len(stray.suspects) > 1 else "") for stray in mine}

    def _begin(self, reports: _Reports) -> None:
        self._start = reports.size()

    def _end(self, reports: _Reports) -> None:
        """Count what other processes rendered, and note what they rendered without a candidate of a rollout that was running."""
        size = reports.size()
        running = {watch._number: watch for watch in _watches}
        for offset, number, name in reports.read(self._start, size) if size > self._start else ():
            if name not in self.names:
                continue
            if number == self._number:
                self._on_render(name)
            elif number not in running and offset >= _ends.get(number, 0):  # a worker that was forked in an earlier rollout
                self.strays.append(_Stray(name, "another process", [each for each in _watches if name in each.names]))
        if size:
            _ends[self._number] = size


_OR_ANOTHER = ", for this example or another one that ran at the same time"


class _Stray:
    """A use of a prompt outside of all rollouts."""

    def __init__(self, name: str, where: str, suspects: Sequence[Watch]) -> None:
        self.name = name
        self.where = where
        self.suspects = suspects
        """The rollouts that it may belong to."""

    def compare(self, values: Mapping[str, Any]) -> None:
        """Leave the rollouts whose inputs are best found in the values that the prompt is rendered with; all if none is."""
        given = frozenset(_leaves(values))
        whole = "\0".join(given)
        found = {
            watch: sum(len(text) for text in watch.texts if text in given or (len(text) >= _MIN_PART and text in whole))
            for watch in self.suspects
        }
        if best := max(found.values(), default=0):
            self.suspects = [watch for watch, score in found.items() if score == best]


def note(name: str, values: Mapping[str, Any] | None = None) -> None:
    """Note that a prompt is used outside of all rollouts: loaded, or with `values` rendered. Never raises."""
    if not _watches:
        if _reports is not None:
            _reports.add(_NO_ROLLOUT, name)
        return
    thread = threading.current_thread()
    key = (thread.ident or 0, name)
    with _lock:
        stray = None if values is None else _loads.pop(key, None)
        if stray is None:
            stray = _Stray(name, f"thread {thread.name!r}", [watch for watch in _watches if name in watch.names])
            for watch in stray.suspects:
                watch.strays.append(stray)
    if values is None:
        _loads[key] = stray
    else:
        stray.compare(values)


@contextmanager
def watch_rollout(names: Iterable[str], inputs: Any, on_render: Callable[[str], None]) -> Iterator[Watch]:
    """A block that is one rollout: with candidates for `names`, on a row with `inputs`. `on_render` counts renders of forks."""
    global _watches, watching
    watch = Watch(names, inputs, on_render)
    with unwatched():
        reports = _open_reports()
        if reports is not None:
            watch._begin(reports)
    with _lock:
        if not _watches and reports is not None:
            os.environ[_VARIABLE] = reports.path
        _watches, watching = (*_watches, watch), True
    try:
        yield watch
    finally:
        if reports is not None:
            with unwatched():
                watch._end(reports)
        with _lock:
            _watches = tuple(other for other in _watches if other is not watch)
            if not _watches:
                watching = False
                _loads.clear()
                os.environ.pop(_VARIABLE, None)


class _Reports:
    """A file that other processes append to: a line with the number of a rollout and the name of a prompt for each use."""

    def __init__(self, path: str, is_ours: bool) -> None:
        self.path = path
        self.is_ours = is_ours
        self._file = os.open(path, os.O_RDWR | os.O_APPEND)

    def add(self, number: int, name: str) -> None:
        with suppress(OSError), unwatched():
            if self.size() < _MAX_REPORTED:
                os.write(self._file, f"{number}\t{name}\n".encode())

    def size(self) -> int:
        return os.fstat(self._file).st_size

    def read(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Yield (offset, number of the rollout, name of the prompt) for each line between two offsets. A torn line is passed over."""
        with open(self.path, "rb") as file:
            file.seek(start)
            data = file.read(end - start)
        offset = start
        for line in data.splitlines(keepends=True):
            number, _, name = line.decode("utf-8", "replace").rstrip("\n").partition("\t")
            if number.isdecimal():  # a process that is killed, or a full disk, may leave half a line
                yield offset, int(number), name
            offset += len(line)

    def remove(self) -> None:
        with suppress(OSError):
            os.close(self._file)
            os.unlink(self.path)


def _open_reports() -> _Reports | None:
    """Return the file for the reports of other processes, made for the first rollout of this process; None if none can be made."""
    global _reports
    with _lock:
        if _reports is None or not _reports.is_ours:
            try:
                handle, path = tempfile.mkstemp(prefix="prompt-registry-rollouts-")
                os.close(handle)
                made = _Reports(path, is_ours=True)
            except OSError as error:
                _warn_of_no_file(str(error))
                return None
            _reports = made
            atexit.register(_remove, made, os.getpid())
        return _reports


@lru_cache(maxsize=1)
def _warn_of_no_file(error: str) -> None:
    logger.warning(
        "No temporary file can be written (%s), so a prompt that another process renders without the candidate is not noticed. "
        "Set TMPDIR to a folder that can be written.",
        error,
    )


def _remove(reports: _Reports, pid: int) -> None:
    if os.getpid() == pid:
        reports.remove()


def _report_to_parent() -> None:
    """Report to the process that started this one, if it runs a rollout."""
    global _reports, watching
    with suppress(OSError):
        if path := os.environ.get(_VARIABLE):
            _reports, watching = _Reports(path, is_ours=False), True


class _Forks(ForkAware):
    def after_fork_in_child(self) -> None:
        global _lock, _watches, watching
        _lock = threading.Lock()  # another thread may have held it; what it guards is whole at every moment
        _watches = ()
        _loads.clear()
        if _reports is not None:
            _reports.is_ours = False  # a rollout of the child's own gets a file of its own
            watching = True


def _leaves(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts and numbers in plain data, as text."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif depth < _MAX_DEPTH and isinstance(value, Mapping | list | tuple):
        inner = value.values() if isinstance(value, Mapping) else value
        for each in itertools.islice(inner, _MAX_LEAVES):
            yield from _leaves(each, depth + 1)


_forks = _Forks()
watch_forks(_forks)
_report_to_parent()
