"""Whole registries: export to JSON Lines and back, copies between stores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from prompt_registry_plugin.errors import InvalidStore, UserError
from prompt_registry_plugin.masking.controls import escape_json
from prompt_registry_plugin.registry.registry import PromptRegistry

_FORMAT = 1


def export_registry(registry: PromptRegistry, file: IO[str]) -> int:
    """Writes everything that is stored as JSON Lines: a head, a line a row, and a count by which a cut file is told. Returns the rows."""
    registry.flush()
    count = 0
    file.write(json.dumps({"prompt_registry_export": _FORMAT}) + "\n")
    for table, row in registry.store.dump():
        file.write(escape_json(json.dumps({"table": table, "row": row}, ensure_ascii=False)) + "\n")
        count += 1
    file.write(json.dumps({"rows": count}) + "\n")
    return count


def restore_registry(registry: PromptRegistry, path: Path) -> int:
    """Writes an export into an empty registry, all or nothing. Raises `InvalidStore` for a cut or foreign file, `UserError`."""
    try:
        with path.open(encoding="utf-8") as file:
            return registry.store.restore(_rows(file, path))
    except (OSError, UnicodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    except RecursionError:
        raise InvalidStore(f"{path} holds a value that is nested too deeply; nothing was restored") from None


def copy_registry(source: PromptRegistry, target: PromptRegistry) -> int:
    """Writes everything in `source` into the empty registry `target`, all or nothing; returns the number of rows."""
    source.flush()
    return target.store.restore(source.store.dump())


def _rows(lines: Iterable[str], path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    count, ended = 0, False
    for number, line in enumerate(lines, 1):
        try:
            data = json.loads(line)
            if number == 1:
                if data.get("prompt_registry_export") != _FORMAT:
                    raise InvalidStore(f"{path} is no export of a registry, or one of a newer version")
            elif "rows" in data:
                ended = data["rows"] == count
            else:
                count += 1
                yield data["table"], data["row"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidStore(f"line {number} of {path} cannot be read: {error}; nothing was restored") from error
    if not ended:
        raise InvalidStore(f"{path} was cut off after {count} rows; nothing was restored")
