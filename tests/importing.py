"""What the tests of importers share: an import of a file, and what became of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import prompt_registry_plugin as pr
from prompt_registry_plugin.transfer.imports import ImportResult, import_prompts, read_prompts


def write(path: Path, data: Any) -> str:
    """Write a text, or data as JSON; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return str(path)


def run_import(registry: pr.PromptRegistry, source: str | Path, format_name: str, **options: Any) -> dict[str, ImportResult]:
    """Import a source; return the results by the name of the prompt."""
    results = import_prompts(registry, read_prompts(registry.plugins, str(source), format_name), **options)
    return {item.name: item for item in results}


def reasons(results: dict[str, ImportResult]) -> dict[str, str]:
    """Return why prompts, or parts of them, were left out."""
    return {name: "; ".join(item.left_out) for name, item in results.items() if item.left_out}
