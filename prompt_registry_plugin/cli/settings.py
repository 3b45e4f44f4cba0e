"""Options that several commands take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from prompt_registry_plugin.cli.echo import echo, json_text
from prompt_registry_plugin.errors import UserError

if TYPE_CHECKING:
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
    """Return the current registry, for a command that only reads: a mistyped URL must not create one. Raises `InvalidStore`."""
    from prompt_registry_plugin.registry.current import current_registry

    check_exists()
    return current_registry()


@contextmanager
def adapters_of(names: str | None = None) -> Iterator[None]:
    """Run a block in which adapters are enabled when their framework is imported: all, those in `names` (with commas), or `none`."""
    from prompt_registry_plugin.frameworks.lazy import enabling_what_is_imported

    if names == "none":
        yield
        return
    with enabling_what_is_imported([name.strip() for name in names.split(",")] if names and names != "all" else ()):
        yield


@contextmanager
def registry_to_look_at() -> Iterator[None]:
    """Run a block that only reads; where there is no registry yet, it reads an empty one in a temporary folder."""
    from prompt_registry_plugin.errors import InvalidStore
    from prompt_registry_plugin.registry.current import use_registry
    from prompt_registry_plugin.registry.registry import PromptRegistry

    try:
        open_existing()
    except InvalidStore:
        with TemporaryDirectory() as folder, PromptRegistry(f"sqlite:///{folder}/empty.db") as empty, use_registry(empty):
            yield
        return
    yield


def check_exists(url: str | None = None) -> None:
    """Raise `InvalidStore` if there is no registry at `url`, by default the current one."""
    from prompt_registry_plugin.errors import InvalidStore
    from prompt_registry_plugin.masking import mask_url
    from prompt_registry_plugin.registry.current import current_url, registry_exists

    if not registry_exists(url):
        place = mask_url(url or current_url())
        raise InvalidStore(
            f"there is no registry at {place}; for another one, set PROMPT_REGISTRY_URL or give --registry URL (a command that writes "
            "creates it)"
        )


def say(text: str, data: dict[str, Any], as_json: bool) -> None:
    """Tells what was done, as a sentence or as JSON."""
    if as_json:
        click.echo(json_text(data, indent=2))
    else:
        echo(text)


def whole_prompt_name(reference: str) -> str:
    """The name of a prompt as a whole, where people may have typed a version or an alias behind it."""
    name, at, _ = reference.removeprefix("prompts:/").partition("@")
    folder, _, last = name.rpartition("/")
    if at or last.isdigit():
        raise UserError(
            f"this is about a prompt as a whole: write {folder if last.isdigit() else name!s}, and an alias as --alias"
        )
    return name
