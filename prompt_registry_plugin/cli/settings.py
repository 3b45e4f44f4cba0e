"""Options that several commands take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.registry import PromptRegistry


def _set_url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value:
        os.environ["PROMPT_REGISTRY_URL"] = value  # so that whatever the command starts uses the same registry


def registry_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--registry URL`."""
    return click.option(
        "--registry",
        metavar="URL",
        expose_value=False,
        is_eager=True,
        callback=_set_url,
        help="The registry; default: PROMPT_REGISTRY_URL, else sqlite:///prompts.db",
    )(command)


def writable(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A file that can be written, told before anything is spent on what goes into it."""
    if value is not None and not Path(value).absolute().parent.is_dir():
        raise click.BadParameter(f"there is no folder {Path(value).absolute().parent}", param=parameter)
    return value


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def force_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--force`."""
    return click.option("--force", is_flag=True, help="Move a protected alias; takes a reason.")(command)


def open_existing() -> PromptRegistry:
    """The current registry; a command that only looks never creates a database file by a mistyped URL."""
    from prompt_registry_plugin.registry.current import DEFAULT_URL

    check_exists(os.environ.get("PROMPT_REGISTRY_URL") or DEFAULT_URL)
    return current_registry()


@contextmanager
def registry_to_look_at() -> Iterator[None]:
    """A scope that writes no database file: where the registry is not there yet, an empty one stands for it."""
    from prompt_registry_plugin.errors import InvalidStore
    from prompt_registry_plugin.registry.current import use_registry

    try:
        open_existing()
    except InvalidStore:
        with TemporaryDirectory() as folder, PromptRegistry(f"sqlite:///{folder}/empty.db") as empty, use_registry(empty):
            yield
        return
    yield


def check_exists(url: str) -> None:
    """Raises `InvalidStore` when `url` names a file, or a schema of a PostgreSQL database, that is not there."""
    from prompt_registry_plugin.errors import InvalidStore
    from prompt_registry_plugin.store.sqlite.connection import parse_url

    if url.startswith(("postgresql:", "postgres:")) and find_spec("psycopg"):
        from prompt_registry_plugin.store.postgres import address, connection

        place = address.parse_url(url)
        if not connection.schema_exists(place):
            raise InvalidStore(
                f"there is no registry at {place.place} (no schema {place.schema!r}); a command that writes makes one"
            )

    if url.startswith("sqlite:///"):
        path, _ = parse_url(url)
        try:
            missing = not path.exists()
        except OSError:
            missing = True
        if missing:
            raise InvalidStore(f"there is no registry at {path}; set PROMPT_REGISTRY_URL or give --registry URL")


def say(text: str, data: dict[str, Any], as_json: bool) -> None:
    """Tells what was done, as a sentence or as JSON."""
    from prompt_registry_plugin.cli.display import print_json

    if as_json:
        print_json(data)
    else:
        click.echo(text)
