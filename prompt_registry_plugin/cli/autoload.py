"""The commands that write and delete the start-up file of an environment."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.settings import json_option, say


@click.group()
def autoload() -> None:
    """Let PROMPT_REGISTRY_ENABLE take effect.

    Once installed, every Python program of this environment that is started with the variable is served from the registry, and
    need not import this package. Without the variable, nothing happens.

    \b
      prompt-registry autoload install
      PROMPT_REGISTRY_ENABLE=all python agent.py
    """


@autoload.command("install")
@json_option
def install_command(as_json: bool) -> None:
    """Write the start-up file of this environment.

    \b
      prompt-registry autoload install
    """
    from prompt_registry_plugin.frameworks.autoload import install

    path = install()
    say(f"wrote {path}: PROMPT_REGISTRY_ENABLE=all python agent.py works now", {"path": str(path)}, as_json)


@autoload.command("remove")
@json_option
def remove_command(as_json: bool) -> None:
    """Delete the start-up file again.

    \b
      prompt-registry autoload remove
    """
    from prompt_registry_plugin.frameworks.autoload import remove

    paths = [str(path) for path in remove()]
    say(f"deleted {', '.join(paths)}" if paths else "it was not installed", {"deleted": paths}, as_json)
