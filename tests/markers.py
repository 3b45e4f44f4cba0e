"""What a test needs beyond this process is named by a marker and refused without it, so that `make check` leaves the right tests out.

`process` starts or forks a process, `server` listens on a port, `postgres` needs PostgreSQL. A test gets them where
its code, or a fixture's, names what needs them; where that is hidden in another function, by `pytestmark` or a decorator.
"""

from __future__ import annotations

import functools
import multiprocessing.process
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

import pytest

_BY_NAME = {
    "run_python": "process",
    "subprocess": "process",
    "multiprocessing": "process",
    "fork": "process",
    "ThreadingHTTPServer": "server",
    "Proxy": "server",
    "postgres_url": "postgres",
}
_BY_EVENT = {
    "subprocess.Popen": "process",
    "os.fork": "process",
    "os.forkpty": "process",
    "os.posix_spawn": "process",
    "os.spawn": "process",
    "os.system": "process",
    "socket.bind": "server",
}
_running: pytest.Item | None = None
_refused: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the markers that a test and its fixtures need, by what their code names."""
    for item in items:
        if isinstance(item, pytest.Function):
            fixtures = [fixture.func for found in item._fixtureinfo.name2fixturedefs.values() for fixture in found]
            names = {name for function in (item.function, *fixtures) for name in _names(function.__code__)}
            for marker in {_BY_NAME[name] for name in names & _BY_NAME.keys()}:
                item.add_marker(marker)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the globals, attributes and local imports that a function names, and those of the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def need(marker: str, what: str) -> None:
    """Refuse `what` to the running test, and fail it, unless it has the marker.

    Raises:
        RuntimeError: The test has no such marker.
    """
    if _running is not None and _running.get_closest_marker(marker) is None:
        _refused.append(f"{what} needs @pytest.mark.{marker}: `make check` leaves out the tests that have it")
        raise RuntimeError(_refused[-1])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold a test and its fixtures to its markers."""
    global _running
    _running = item
    _refused.clear()
    try:
        return (yield)
    finally:
        _running = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Fail a test that was refused something, also if the code under test swallowed the error."""
    try:
        return (yield)
    finally:
        if _refused:
            pytest.fail(_refused[0])


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _BY_EVENT and not _is_a_look(arguments):
        need(_BY_EVENT[event], event)


def _is_a_look(arguments: tuple[Any, ...]) -> bool:
    """Whether HTTP clients look where they are: `platform` asks `uname`, and urllib3 tries IPv6 when it is imported."""
    return arguments[:1] == ("uname",) or arguments[1:2] == (("::1", 0),)


def _guard(start: Any) -> Any:
    """Return `Process.start` with a guard: `multiprocessing` starts processes without an audit event."""

    @functools.wraps(start)
    def start_guarded(self: Any) -> None:
        need("process", "multiprocessing")
        start(self)

    return start_guarded


sys.addaudithook(_audit)
multiprocessing.process.BaseProcess.start = _guard(multiprocessing.process.BaseProcess.start)  # type: ignore[method-assign]
