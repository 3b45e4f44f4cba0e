"""Commands that copy a whole SQLite registry to a file, and back."""

from __future__ import annotations

from pathlib import Path

import click

from prompt_registry_plugin.cli.settings import check_exists, json_option, registry_option, say
from prompt_registry_plugin.errors import UserError


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@registry_option
def backup(file: Path, as_json: bool) -> None:
    """Copy the registry to a new FILE.

    The copy is consistent while other processes write. For PostgreSQL, use pg_dump or `prompt-registry export`.

    \b
    prompt-registry backup prompts-2026-11-25.db
    """
    from prompt_registry_plugin.store.sqlite.backup import backup_file

    check_exists()
    size = backup_file(_file("backup"), file)
    say(f"{size:,} bytes written to {file}", {"bytes": size, "file": str(file)}, as_json)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Replace what is in the registry now.")
@json_option
@registry_option
def restore(file: Path, yes: bool, as_json: bool) -> None:
    """Put a backup back.

    Replaces the whole registry by the backup in FILE. Processes that have it open see the restored prompts.

    \b
    prompt-registry restore prompts-2026-11-25.db --yes
    """
    from prompt_registry_plugin.store.sqlite.backup import restore_file

    target = _file("restore")
    if target.exists() and not yes:
        raise UserError(f"{target} exists. Pass --yes to replace everything in it by the backup.")
    restore_file(file, target)
    say(f"{target} restored from {file}", {"registry": str(target), "file": str(file)}, as_json)


def _file(command: str) -> Path:
    """Return the file of the registry. Raises `UserError` if it is none of SQLite."""
    from prompt_registry_plugin.registry.current import current_url
    from prompt_registry_plugin.store.sqlite.address import parse_url

    url = current_url()
    if not url.startswith("sqlite:"):
        raise UserError(f"`prompt-registry {command}` works on SQLite registries. For PostgreSQL, use pg_dump and pg_restore.")
    return parse_url(url)[0]
