"""The command that lists the prompts."""

from __future__ import annotations

from collections.abc import Mapping

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option


@click.command("list")
@click.option("--filter", "filter_string", help="Such as \"name LIKE 'support%' AND alias = 'production'\".")
@click.option("--max", "max_results", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="At most so many.")
@json_option
@registry_option
def list_prompts(filter_string: str | None, max_results: int, as_json: bool) -> None:
    """List the prompts with versions and aliases.

    \b
      prompt-registry list --filter "tags.team = 'care' AND alias = 'production'"
    """
    from prompt_registry_plugin.cli.display import print_json, print_table

    registry = open_existing()
    found = registry.search_prompts(filter_string, max_results=max_results)
    if as_json:
        print_json(
            [
                {
                    "name": p.name,
                    "latest_version": p.latest_version,
                    "aliases": p.aliases,
                    "tags": p.tags,
                    "created_at": p.created_at,
                }
                for p in found
            ]
        )
        return
    rows = [
        (
            p.name,
            str(p.latest_version),
            ", ".join(f"{alias} → {v}" for alias, v in p.aliases.items()),
            _shown_tags({**registry.load_source(p.name).tags, **p.tags}),
            f"{p.created_at:%Y-%m-%d %H:%M}",
        )
        for p in found
    ]
    print_table(("prompt", "latest", "aliases", "tags", "created"), rows)
    if found.token:
        echo(f"… and more: these are the first {max_results}; --max shows more, --filter fewer")


def _shown_tags(tags: Mapping[str, str]) -> str:
    """Return the tags that people set, and of the evidence of a run the grade; `show` has all."""
    from prompt_registry_plugin.records import MEASURED_TAGS

    return ", ".join(f"{key}={value}" for key, value in tags.items() if key == "grade" or key not in MEASURED_TAGS)
