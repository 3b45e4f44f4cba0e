"""The command that prints a shell's completion script, and what completes the names of prompts."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

_VARIABLE = "_PROMPT_REGISTRY_COMPLETE"  # click reads it when the shell asks
_AT_MOST = 1000


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options and the names of prompts. Put the line into the start-up file of your shell:

    \b
      eval "$(prompt-registry completion bash)"        # ~/.bashrc
      eval "$(prompt-registry completion zsh)"         # ~/.zshrc
      prompt-registry completion fish | source         # ~/.config/fish/config.fish
    """
    made = get_completion_class(shell)
    assert made is not None  # click has these three
    click.echo(made(click.get_current_context().find_root().command, {}, "prompt-registry", _VARIABLE).source())


def complete_prompts(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the prompts whose names begin so, and behind `NAME@` its aliases; nothing if there is no registry to ask."""
    from prompt_registry_plugin.cli.settings import open_existing
    from prompt_registry_plugin.errors import PromptRegistryError

    name, at, _ = incomplete.partition("@")
    try:
        pattern = name.replace("'", "''") + ("" if at else "%")
        found = open_existing().search_prompts(f"name LIKE '{pattern}'", max_results=_AT_MOST)
    except PromptRegistryError:
        return []
    if not at:
        return [CompletionItem(prompt.name) for prompt in found]
    return [CompletionItem(f"{name}@{alias}") for prompt in found for alias in prompt.aliases]
