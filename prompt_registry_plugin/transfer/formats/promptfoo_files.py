"""Where promptfoo finds the text of a prompt: inline, in a file, in the files of a pattern, or somewhere that only it can reach."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.reading import parse_json, parse_yaml, read_text

_SERVICES = ("langfuse://", "portkey://", "helicone://")
_TEXTS = (".csv", ".j2", ".json", ".jsonl", ".md", ".txt", ".yaml", ".yml")
_CODE = (".cjs", ".cts", ".js", ".mjs", ".mts", ".py", ".ts", ".sh", ".bash", ".exe", ".bat", ".cmd", ".ps1", ".rb", ".pl", ".go")
_MAGIC = re.compile(r"[*?]|\[[^\]]*\]|\{[^{}]*(?:,|\.\.)[^{}]*\}|[+@!]\(")
_MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Raw:
    """The text of one prompt as promptfoo has it before it renders."""

    text: str
    label: str | None
    """Its label, if the configuration gives one."""
    file: str | None
    """The stem of the file that it is from, or None for an inline text."""


def read_entry(reference: str, label: str | None, folder: Path) -> Iterator[Raw]:
    """Yield the texts of one entry. Raises `UserError` for code, and for references that cannot be read here."""
    if reference.startswith(_SERVICES):
        raise UserError(f"{reference!r} is fetched from another service; import it from there")
    if reference.startswith("exec:"):
        raise UserError(f"{reference!r} is the output of a program, which is not run here; save its text")
    if not _may_be_path(reference):
        yield Raw(reference, label, None)
        return
    name = reference.removeprefix("file://")
    if _MAGIC.search(name):
        files = _expand(name, folder)
        for file in files:
            yield from _read_file(file, None, str(file))
        if not files:  # promptfoo takes a pattern without files for a text
            yield Raw(reference, label, None)
        return
    yield from _read_file(_path(name, folder), label, name)


def _may_be_path(text: str) -> bool:
    """Return whether promptfoo takes a text for a path: by its ending, or by characters that paths have."""
    if "\n" in text or any(service in text for service in _SERVICES):
        return False
    endings = (*_TEXTS, *_CODE[:7])
    if text.startswith("file://") or any(token.endswith(endings) for token in text.split(":")[-2:]):
        return True
    return text[-3:-2] == "." or text[-4:-3] == "." or any(character in text for character in "*/\\")


def _path(name: str, folder: Path) -> Path:
    try:
        path = folder / name
        path.exists()  # a name that is too long, or has a NUL in it, raises
    except (OSError, ValueError) as error:
        raise UserError(f"promptfoo takes {name[:60]!r} for a path, which cannot be read: {error}") from error
    return path


def _expand(pattern: str, folder: Path) -> list[Path]:
    """Return the files of a pattern, in order. Raises `UserError` for patterns that are not read here."""
    path = Path(pattern)
    root, relative = (Path(path.anchor), path.relative_to(path.anchor)) if path.anchor else (folder, path)
    if re.search(r"\{|\(", pattern) or (".." in relative.parts and _MAGIC.search(str(relative.parts[0]))):
        found: list[Path] = []
    else:
        while relative.parts and relative.parts[0] == "..":
            root, relative = root / "..", relative.relative_to("..")
        try:
            found = [file for file, _ in zip(root.glob(str(relative)), range(_MAX_FILES + 1), strict=False) if file.is_file()]
        except (OSError, ValueError, NotImplementedError):
            found = []
    if len(found) > _MAX_FILES:
        raise UserError(f"{pattern!r} names over {_MAX_FILES:,} files")
    return sorted(found)


def _read_file(path: Path, label: str | None, name: str) -> Iterator[Raw]:
    suffix = path.suffix
    code = next((part for part in (name, name.rpartition(":")[0]) if part.endswith(_CODE)), None)
    if code is not None:
        raise UserError(f"{name!r} is code, which is not run here; save its text")
    if path.is_dir():
        raise UserError(f"{name!r} is a folder; name its files, as in '{name.rstrip('/')}/*.txt'")
    if suffix not in _TEXTS:
        raise UserError(f"promptfoo takes {name[:80]!r} for a path and cannot read such a file; it reads {', '.join(_TEXTS)}")
    if not path.is_file():
        raise UserError(f"promptfoo takes {name[:80]!r} for a path, and there is no such file")
    for text in _texts(path, suffix):
        yield Raw(text, label, path.stem)


def _texts(path: Path, suffix: str) -> list[str]:
    text = read_text(path, keep_line_ends=True)
    if suffix == ".txt":
        parts = re.split(r"^[^\S\n]*---[^\S\n]*$\n?", text.replace("\r\n", "\n"), flags=re.M)
        return [part.strip() for part in parts if part.strip()]
    if suffix == ".jsonl":
        return [line for line in re.split(r"\r?\n", text) if line]
    if suffix == ".csv":
        return _csv_texts(text, path)
    if suffix == ".json":
        return [_without_references(text, parse_json, path)]
    if suffix in (".yaml", ".yml"):
        return [_without_references(text, lambda text, path: parse_yaml(text, path, version="1.2"), path)]
    return [text]


def _without_references(text: str, parse: Any, path: Path) -> str:
    """Return the JSON of a JSON or YAML file, or its text if it cannot be read as that: it may become that when it is rendered."""
    try:
        data = parse(text, path)
    except UserError:
        return text
    compact = json.dumps(data, ensure_ascii=False)
    if '"file://' in compact:
        raise UserError(f"{path.name} has references to other files (file://…), which are not read here")
    return compact


def _csv_texts(text: str, path: Path) -> list[str]:
    lines = [line for line in re.split(r"\r?\n", text) if line.strip()]
    if "," in text:
        try:
            rows = list(csv.DictReader(StringIO(text, newline=""), skipinitialspace=True))
        except csv.Error as error:
            raise UserError(f"{path.name} is not readable CSV: {error}") from error
        if not rows or "prompt" not in rows[0]:
            raise UserError(f"{path.name} has no column 'prompt'")
        return [row["prompt"].strip() for row in rows if (row["prompt"] or "").strip()]
    return lines[1:] if lines and lines[0].strip().lower() == "prompt" else lines
