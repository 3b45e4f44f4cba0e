"""The command that makes a project to begin with."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import json_option, say
from prompt_registry_plugin.errors import UserError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_NEXT = (
    ("measure it", "prompt-registry eval --target agent:agent --data rows.jsonl --scorer agent:right_team"),
    ("change it", "prompt-registry edit team"),
    ("look at the change", "prompt-registry diff team"),
    ("release it, and take it back", "prompt-registry promote team"),
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@json_option
def init(folder: Path, as_json: bool) -> None:
    """Make a small project to begin with.

    Writes a prompt, rows, a scorer and an agent of twenty lines into FOLDER (default: here), and registers the prompt. It works
    without a key, with a simulated model. Files that are there already stay as they are, and nothing is written then.

    \b
      prompt-registry init shop
    """
    from importlib.resources import files

    from prompt_registry_plugin.registry.current import open_registry
    from prompt_registry_plugin.transfer.folder import push

    starter = files("prompt_registry_plugin.cli") / "starter"
    texts = dict(_texts(starter))
    if there := sorted(str(folder / name) for name in [*texts, "prompts.db"] if (folder / name).exists()):
        raise UserError(f"{there[0]} is there already, so nothing was written; name a new folder: prompt-registry init NAME")
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    with open_registry(f"sqlite:///{folder.absolute() / 'prompts.db'}") as registry:
        push(registry, folder / "prompts", message="the first version", alias="production")
    made = [*texts, "prompts.db"]
    say(
        f"made {', '.join(made)} in {folder}",
        {"folder": str(folder), "files": made, "next": [line for _, line in _NEXT]},
        as_json,
    )
    if not as_json:
        echo("\nnext:")
        lines = list(_NEXT)
        if find_spec("rich") is None:
            lines.insert(0, ("for the tables of these commands", "pip install 'prompt-registry-plugin[cli]'"))
        if folder != Path():
            lines.insert(0, ("go there", f"cd {shlex.quote(str(folder))}"))
        for what, line in lines:
            echo(f"  {line}    # {what}")


def _texts(folder: Traversable, prefix: str = "") -> list[tuple[str, str]]:
    """Return the path and text of each file below a folder of this package, in order of path."""
    found: list[tuple[str, str]] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir() and item.name != "__pycache__":
            found += _texts(item, f"{prefix}{item.name}/")
        elif item.is_file() and not item.name.endswith(".pyc"):
            found.append((prefix + item.name, item.read_text(encoding="utf-8")))
    return found
