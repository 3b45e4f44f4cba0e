"""The command that finds prompts by their words."""

from __future__ import annotations

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option

_AROUND = 40


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--max", "max_results", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@json_option
@registry_option
def search(words: tuple[str, ...], max_results: int, as_json: bool) -> None:
    """Find prompts by words of name or text.

    Shows the prompts whose newest version has all the words, and the place of the first. `list --filter` can ask for more.

    \b
      prompt-registry search refund policy
    """
    from prompt_registry_plugin.cli.display import print_json, print_table, template_text

    registry = open_existing()
    quoted = [word.replace("'", "''") for word in words]
    in_name = " AND ".join(f"name ILIKE '%{word}%'" for word in quoted)
    found = registry.search_prompts(f"text MATCH '{' '.join(quoted)}' OR ({in_name})", max_results=max_results)
    rows = [
        (prompt.name, prompt.latest_version, _excerpt(template_text(registry.load_source(prompt.name)), words[0]))
        for prompt in found
    ]
    if as_json:
        print_json([{"name": name, "latest_version": number, "excerpt": excerpt} for name, number, excerpt in rows])
    elif rows:
        print_table(("prompt", "latest", "text"), [(name, str(number), excerpt) for name, number, excerpt in rows])
    else:
        echo(f"no prompt has {' and '.join(map(repr, words))} in its name or text", err=True)


def _excerpt(text: str, word: str) -> str:
    """Return the words around the first place of `word`; the beginning of the text if it is not there."""
    at = max(text.casefold().find(word.casefold()), 0)
    start, end = max(0, at - _AROUND), at + len(word) + _AROUND
    shown = " ".join(text[start:end].split())
    return f"{'…' if start else ''}{shown}{'…' if end < len(text) else ''}"
