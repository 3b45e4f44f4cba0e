"""Commands about prompts: list, show, diff, promote, rollback, history, protect, archive, delete."""

from __future__ import annotations

from typing import Any

import click

from prompt_registry_plugin.cli.settings import force_option, json_option, open_existing, registry_option, say
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import AliasMove, Change, VersionSummary
from prompt_registry_plugin.uri import as_uri


@click.command("list")
@click.option("--filter", "filter_string", help="Such as \"name LIKE 'support%' AND alias = 'production'\".")
@click.option("--max", "max_results", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="At most so many.")
@json_option
@registry_option
def list_prompts(filter_string: str | None, max_results: int, as_json: bool) -> None:
    """List the prompts, with their newest version and aliases."""
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
            ", ".join(f"{key}={value}" for key, value in {**registry.load_source(p.name).tags, **p.tags}.items()),
            f"{p.created_at:%Y-%m-%d %H:%M}",
        )
        for p in found
    ]
    print_table(("prompt", "latest", "aliases", "tags", "created"), rows)
    if found.token:
        click.echo(f"… and more: these are the first {max_results}; --max shows more, --filter fewer")


@click.command()
@click.argument("reference", metavar="NAME[@ALIAS|/VERSION]")
@click.option("--source", is_flag=True, help="As it is written: includes are not put in.")
@json_option
@registry_option
def show(reference: str, source: bool, as_json: bool) -> None:
    """Show one version of a prompt: by name (the newest), name@alias, name/3, or as a prompts:/ URI."""
    from prompt_registry_plugin.cli.display import console, print_json, version_panel

    registry = open_existing()
    version = (registry.load_source if source else registry.load_prompt)(as_uri(reference))
    if as_json:
        print_json(version_data(version))
    else:
        console().print(version_panel(version))


@click.command()
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW", required=False)
@json_option
@registry_option
def diff(old: str, new: str | None, as_json: bool) -> None:
    """Compare two versions word by word: `diff name/1 name@production`, or `diff name` for the newest two."""
    from prompt_registry_plugin.cli.display import console, diff_panel, diff_texts, print_json

    registry = open_existing()
    if new is None:
        after = registry.load_prompt(as_uri(old))
        if after.version == 1:
            raise UserError(f"{after.uri} is the first version; name the two to compare")
        before = registry.load_prompt(after.name, after.version - 1)
    else:
        before, after = registry.load_prompt(as_uri(old)), registry.load_prompt(as_uri(new))
    if as_json:
        old_text, new_text = diff_texts(before, after)
        print_json({"old": before.uri, "new": after.uri, "old_text": old_text, "new_text": new_text})
    else:
        console().print(diff_panel(before, after))


@click.command()
@click.argument("reference", metavar="NAME[/VERSION]")
@click.option("--alias", default="production", show_default=True, help="The alias to move.")
@click.option("--reason", help="Why; kept in the history.")
@force_option
@json_option
@registry_option
def promote(reference: str, alias: str, reason: str | None, force: bool, as_json: bool) -> None:
    """Point an alias at a version (the newest, when none is named)."""
    registry = open_existing()
    version = registry.load_prompt(as_uri(reference))
    already = "already " if alias in version.aliases else ""
    registry.set_prompt_alias(version.name, alias, version.version, reason=reason, force=force)
    data = {"name": version.name, "alias": alias, "version": version.version}
    say(f"{version.name}@{alias} is {already}version {version.version}", data, as_json)


@click.command()
@click.argument("name")
@click.option("--alias", default="production", show_default=True, help="The alias to take back.")
@click.option("--reason", help="Why; kept in the history.")
@force_option
@json_option
@registry_option
def rollback(name: str, alias: str, reason: str | None, force: bool, as_json: bool) -> None:
    """Take back the last move of an alias; again for the one before."""
    name = name_of(name)
    version = open_existing().rollback(name, alias, reason=reason, force=force)
    say(f"{name}@{alias} is version {version.version} again", {"name": name, "alias": alias, "version": version.version}, as_json)


@click.command()
@click.argument("name")
@json_option
@registry_option
def history(name: str, as_json: bool) -> None:
    """Show versions and alias moves of a prompt as one timeline."""
    from prompt_registry_plugin.cli.display import print_json, print_table

    name, registry = name_of(name), open_existing()
    if as_json:
        print_json([_entry_data(entry) for entry in registry.prompt_history(name)])
    else:
        rows = [_entry_row(entry) for entry in registry.summarize_history(name)]
        print_table(("when", "what", "who", "why"), rows, title=name)


@click.command()
@click.argument("name")
@click.option("--alias", required=True, help="The alias to delete.")
@click.option("--reason", help="Why; kept in the history.")
@force_option
@json_option
@registry_option
def unalias(name: str, alias: str, reason: str | None, force: bool, as_json: bool) -> None:
    """Delete an alias; its moves stay in the history."""
    name = name_of(name)
    open_existing().delete_prompt_alias(name, alias, reason=reason, force=force)
    say(f"{name}@{alias} is deleted", {"name": name, "alias": alias, "version": None}, as_json)


@click.command()
@click.argument("name")
@click.option("--alias", default="production", show_default=True, help="The alias to protect.")
@click.option("--off", is_flag=True, help="Take the protection away.")
@click.option("--reason", help="Why; kept in the history.")
@json_option
@registry_option
def protect(name: str, alias: str, off: bool, reason: str | None, as_json: bool) -> None:
    """Make every move of an alias take --force and a reason."""
    name, registry = name_of(name), open_existing()
    (registry.unprotect_alias if off else registry.protect_alias)(name, alias, reason=reason)
    said = f"{name}@{alias} is {'no longer ' if off else ''}protected"
    say(said, {"name": name, "alias": alias, "protected": not off}, as_json)


@click.command()
@click.argument("name")
@click.option("--off", is_flag=True, help="Show it again.")
@click.option("--reason", help="Why; kept in the history.")
@json_option
@registry_option
def archive(name: str, off: bool, reason: str | None, as_json: bool) -> None:
    """Hide a prompt from lists and searches; it still loads."""
    name, registry = name_of(name), open_existing()
    (registry.restore_prompt if off else registry.archive_prompt)(name, reason=reason)
    say(f"{name} is {'shown again' if off else 'archived'}", {"name": name, "archived": not off}, as_json)


@click.command()
@click.argument("reference", metavar="NAME[/VERSION]")
@click.option("--yes", is_flag=True, help="Do it; deleting cannot be taken back.")
@click.option("--reason", help="Why; kept in the history.")
@json_option
@registry_option
def delete(reference: str, yes: bool, reason: str | None, as_json: bool) -> None:
    """Delete one version, or a prompt with all its versions, for good; refused while an alias points there."""
    registry = open_existing()
    name, _, version = reference.removeprefix("prompts:/").rpartition("/")
    if name and version.isdigit():
        registry.delete_version(name, int(version), confirm=yes, reason=reason)
        data: dict[str, Any] = {"name": name, "version": int(version)}
    else:
        name = name_of(reference)
        registry.delete_prompt(name, confirm=yes, reason=reason)
        data = {"name": name}
    say(f"deleted {reference}", data, as_json)


def _entry_row(entry: VersionSummary | AliasMove | Change) -> tuple[str, str, str, str]:
    """Return when, what, who, why."""
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


def name_of(reference: str) -> str:
    """The name of a prompt as a whole, where people may have typed a version or an alias behind it."""
    name, at, _ = reference.removeprefix("prompts:/").partition("@")
    folder, _, last = name.rpartition("/")
    if at or last.isdigit():
        raise UserError(
            f"this is about a prompt as a whole: write {folder if last.isdigit() else name!s}, and an alias as --alias"
        )
    return name


def version_data(version: PromptVersion) -> dict[str, Any]:
    """A version as JSON data."""
    from prompt_registry_plugin.cli.display import variables_of

    return {
        "name": version.name, "version": version.version, "uri": version.uri, "template": version.template,
        "template_format": version.template_format, "variables": variables_of(version),
        "variable_schemas": version.variable_schemas, "source": version.source, "includes": list(version.includes),
        "aliases": list(version.aliases), "tags": version.tags, "commit_message": version.commit_message,
        "response_format": version.response_format, "model_config": version.model_config, "tools": version.tools,
        "parent": version.parent, "run_id": version.run_id, "created_at": version.created_at, "created_by": version.created_by,
        "content_hash": version.content_hash, "served_from": version.served_from,
    }  # fmt: skip
