"""The command that shows versions and alias moves as one timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, whole_prompt_name
from prompt_registry_plugin.cli.show import version_data

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts.version import PromptVersion
    from prompt_registry_plugin.records import AliasMove, Change, VersionSummary

_SHOWN = 100


@click.command()
@click.argument("name", shell_complete=complete_prompts)
@click.option("--limit", type=click.IntRange(1), help="How many of the newest entries to show (100; all as JSON).")
@json_option
@registry_option
def history(name: str, limit: int | None, as_json: bool) -> None:
    """Show versions and alias moves of a prompt as one timeline."""
    from prompt_registry_plugin.cli.display import print_json, print_table

    name, registry = whole_prompt_name(name), open_existing()
    if as_json:
        entries = registry.prompt_history(name)
        print_json([_entry_data(entry) for entry in (entries if limit is None else entries[-limit:])])
        return
    most = limit or _SHOWN
    newest = registry.summarize_history(name, limit=most + 1)
    print_table(("when", "what", "who", "why"), [_entry_row(entry) for entry in newest[-most:]], title=name)
    if len(newest) > most:
        echo(f"These are the newest {most:,} entries; --limit shows more.")


def _entry_row(entry: VersionSummary | AliasMove | Change) -> tuple[str, str, str, str]:
    """Return when, what, who, why."""
    from prompt_registry_plugin.records import AliasMove, VersionSummary

    if isinstance(entry, VersionSummary):
        when, what, who, why = entry.created_at, f"version {entry.version}", entry.created_by, entry.commit_message
    elif isinstance(entry, AliasMove):
        move = f"{entry.alias}: {entry.from_version or '–'} → {entry.to_version or 'deleted'}"
        when, what, who, why = entry.moved_at, move + " (rollback)" * entry.rollback, entry.moved_by, entry.reason
    else:
        when, what, who, why = entry.changed_at, _change_text(entry), entry.changed_by, entry.reason
    return f"{when:%Y-%m-%d %H:%M:%S}", what, who, why or ""


def _change_text(change: Change) -> str:
    of_version = f" of version {change.version}" if change.version else ""
    if change.kind == "tag":
        return f"tag {change.key}{of_version}: {change.old or '–'} → {change.new if change.new is not None else 'removed'}"
    if change.kind == "protection":
        return f"{change.key}: {'protected' if change.new else 'no longer protected'}"
    if change.kind == "archive":
        return "archived" if change.new else "restored"
    if change.kind == "rename":
        return f"renamed: {change.old} → {change.new}"
    return f"version {change.version} deleted" if change.version else "deleted with all its versions"


def _entry_data(entry: PromptVersion | AliasMove | Change) -> dict[str, Any]:
    from prompt_registry_plugin.prompts.version import PromptVersion
    from prompt_registry_plugin.records import AliasMove

    if isinstance(entry, PromptVersion):
        return {"kind": "version", **version_data(entry)}
    if isinstance(entry, AliasMove):
        return {
            "kind": "alias_move", "alias": entry.alias, "from": entry.from_version, "to": entry.to_version, "at": entry.moved_at,
            "by": entry.moved_by, "reason": entry.reason, "rollback": entry.rollback,
        }  # fmt: skip
    return {
        "kind": entry.kind, "version": entry.version, "key": entry.key, "from": entry.old, "to": entry.new, "at": entry.changed_at,
        "by": entry.changed_by, "reason": entry.reason,
    }  # fmt: skip
