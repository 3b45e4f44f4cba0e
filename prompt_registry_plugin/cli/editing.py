"""What `new` and `edit` share: a prompt as a file in an editor, and the version that comes of it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import say
from prompt_registry_plugin.errors import UserError

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts.version import PromptVersion

file_option = click.option("--file", "file", metavar="FILE", help="Read the text from a file, `-` for standard input.")
message_option = click.option("--message", "-m", help="The commit message; asked for in a terminal.")


def read_text(file: str) -> str:
    """Return the text of a file or, for `-`, of standard input, without a byte order mark. Raises `UserError`."""
    from prompt_registry_plugin.transfer.prompt_paths import read_file

    if file != "-":
        return read_file(Path(file))
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is not UTF-8 text: {error}") from None


def edit_text(text: str, name: str) -> str:
    """Return what became of a text in the user's editor. Raises `UserError` without an editor, or if it fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        if not sys.stdin.isatty():
            raise UserError(
                "there is no terminal for an editor; give the text with --text TEXT or --file FILE (`-`: standard input)"
            )
        editor = next((found for found in ("sensible-editor", "nano", "vim", "vi", "notepad") if shutil.which(found)), None)
        if editor is None:
            raise UserError("no editor was found; set EDITOR, or give the text with --text TEXT or --file FILE")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name.replace("/", "-") + ".prompt")
        path.write_text(text, encoding="utf-8", newline="\n")
        try:
            click.edit(filename=str(path), editor=editor)
        except click.ClickException as error:
            raise UserError(f"the editor {editor!r} failed, so nothing was registered: {error.message}") from None
        return read_text(str(path))


@contextmanager
def keeping(text: str) -> Iterator[None]:
    """A block in which a text that somebody wrote is read and registered.

    If that is refused, the text is kept in a file, which the error names: nobody writes a prompt twice.
    """
    try:
        yield
    except UserError as error:
        with tempfile.NamedTemporaryFile("w", suffix=".prompt", prefix="prompt-", encoding="utf-8", delete=False) as kept:
            kept.write(text)
        raise UserError(f"{error}\nYour text is kept: correct it there, and give it with --file {kept.name}") from error


def ask_message(message: str | None) -> str | None:
    """Return the commit message, asked for in a terminal if it was not given; None for an empty one."""
    if message is None and sys.stdin.isatty() and sys.stdout.isatty():
        message = click.prompt("message", default="", show_default=False)
    return message or None


def notes_on(version: PromptVersion) -> list[str]:
    """Return what looks like a mistake in a new version, a sentence each."""
    from prompt_registry_plugin.templates.hints import hint

    said = hint(version.template, version.template_format)
    return [said] if said else []


def tell(text: str, version: PromptVersion, as_json: bool, **more: Any) -> None:
    """Print that a version was registered, and on standard error what looks like a mistake in it."""
    notes = notes_on(version)
    say(text, {"name": version.name, "version": version.version, **more, "notes": notes}, as_json)
    for note in notes:
        echo(f"note: {note}", err=True)
