"""How a command ends: an error as one line or as JSON, and quietly once nobody reads what it prints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from prompt_registry_plugin.cli.echo import echo


class ReaderGoneError(Exception):
    """Nobody reads standard output any more. `click` would take a `BrokenPipeError` for a failure."""


@contextmanager
def noticing_a_closed_pipe() -> Iterator[None]:
    """Run a block in which a `BrokenPipeError` is raised as `ReaderGoneError`."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error


@contextmanager
def ending_with_the_reader() -> Iterator[None]:
    """Run a block that exits; once nobody reads its output (`export - | head`), it ends with 0 and says nothing."""
    try:
        try:
            yield
        finally:
            if _is_broken(sys.stdout) or _is_broken(sys.stderr):  # a command that has its exit code keeps it
                _discard_output()
    except (ReaderGoneError, BrokenPipeError):
        _discard_output()
        sys.exit(0)


def _discard_output() -> None:
    """Let what is printed from here on go nowhere: Python writes what is left in its buffers when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BrokenPipeError, OSError, ValueError, AttributeError):  # a stream that is no file has no number
            if _is_broken(stream):
                os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _is_broken(stream: TextIO | None) -> bool:
    """Return whether nobody reads a stream in which something is left to write."""
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except BrokenPipeError:
        return True
    return False


def wants_json(arguments: Sequence[str]) -> bool:
    """Return whether a command line asks for JSON. What follows `run` is the command line of another program."""
    given = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if "--json" not in given:
        return False
    before = given[: given.index("--json")]
    if before[:1] == ["--registry"]:
        before = before[2:]
    return next((argument for argument in before if not argument.startswith("-")), "") != "run"


def tell(message: str, kind: str, as_json: bool, shown: str | None = None) -> None:
    """Print an error: as `shown` or as a line, or as the JSON object `{"error": …, "kind": …}`."""
    with suppress(BrokenPipeError):  # whoever reads it or not, the exit code stays
        if as_json:
            click.echo(json.dumps({"error": message, "kind": kind}), err=True)
        else:
            echo(shown if shown is not None else f"Error: {message}", err=True)
