"""Backups of a SQLite registry with SQLite's own online backup: consistent while other processes read and write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from prompt_registry_plugin.errors import InvalidStore, StoreUnavailable, UserError
from prompt_registry_plugin.store.sqlite.migrations import APPLICATION_ID


def backup_file(source: Path, target: Path) -> int:
    """Copy the registry `source` into the new file `target`, and return its size in bytes.

    Raises `UserError` if `target` exists, `InvalidStore` if `source` is no registry, and `StoreUnavailable`.
    """
    if target.exists():
        raise UserError(f"{target} exists. Name a new file for the backup.")
    part = target.with_name(f".{target.name}.part")  # a cut backup must not have the name of a whole one
    part.unlink(missing_ok=True)
    try:
        _copy(source, part)
        part.replace(target)
        return target.stat().st_size
    except OSError as error:
        raise StoreUnavailable(f"cannot write {target}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def restore_file(backup: Path, target: Path) -> None:
    """Replace the content of the registry `target` by that of `backup`, in one transaction. Processes that have it open go on with it.

    Raises `InvalidStore` if `backup` is damaged or no registry; `target` is then unchanged. Raises `StoreUnavailable`.
    """
    before = _epoch(target) if target.exists() else 0
    _copy(backup, target)
    with closing(sqlite3.connect(target, timeout=30.0)) as new, new:
        # A number that neither had, so that no process keeps what it cached.
        new.execute("UPDATE registry_epoch SET value = max(value, ?) + 1", (before,))


def _epoch(path: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as known:
            return int(known.execute("SELECT value FROM registry_epoch").fetchone()[0])
    except (sqlite3.Error, TypeError):
        return 0  # a damaged file, which the backup replaces


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise UserError(f"there is no file {source}")
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)) as old:
            if old.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise InvalidStore(f"{source} is not a registry of prompt-registry-plugin")
            if (problem := old.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise InvalidStore(f"{source} is damaged: {problem}")
            with closing(sqlite3.connect(target, timeout=30.0)) as new:
                if new.execute("PRAGMA application_id").fetchone()[0] not in (0, APPLICATION_ID):
                    raise InvalidStore(f"{target} is a database of another program")
                old.backup(new)
    except sqlite3.OperationalError as error:
        raise StoreUnavailable(f"cannot copy {source} to {target}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise InvalidStore(f"{source} or {target} is not a registry: {error}") from error
