"""Texts in files beside a program: whole text files, and the strings in YAML, TOML and JSON. Folders, files and sizes are bounded."""

from __future__ import annotations

import json
import os
import tomllib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prompt_registry_plugin.forks import ForkLock
from prompt_registry_plugin.sources.fields import readings
from prompt_registry_plugin.sources.naming import prompt_name, template_of
from prompt_registry_plugin.sources.source_template import SourceTemplate
from prompt_registry_plugin.sources.texts import make

MAX_FILES = 500
MAX_FOLDERS = 200
MAX_DEPTH = 4
MAX_FILE_BYTES = 200_000
MAX_BYTES = 4_000_000
_MAX_STRINGS = 5_000  # in one file
_MAX_LEVELS = 20

_TEXT_FILES = frozenset({".txt", ".md", ".mdx", ".j2", ".jinja", ".jinja2", ".prompt", ".tmpl", ".tpl", ".xml", ".mustache"})
_SKIPPED = frozenset({"node_modules", "site-packages", "venv", "env", "dist", "build", "target", "__pycache__", "logs"})
_ROOT_MARKS = ("pyproject.toml", "setup.py", "requirements.txt", ".git", "langgraph.json")
_PARENTS = 3  # folders above a module in which the root of its project is looked for


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The templates in data files."""

    templates: Sequence[SourceTemplate]
    problems: Sequence[str]
    files: int


_lock = ForkLock()
_kept: dict[str, tuple[tuple[int, int], list[SourceTemplate], str | None]] = {}  # by file


def read_files(module_files: Iterable[str]) -> DataFiles:
    """Return the templates in the data files of the folders of `module_files`, and of the projects that they belong to."""
    templates: list[SourceTemplate] = []
    problems: list[str] = []
    count = size = 0
    with _lock:
        for path, status in _data_files(_roots(module_files)):
            if count >= MAX_FILES or size + status.st_size > MAX_BYTES:
                problems.append(f"Only the first {count} data files were read, up to {path.parent}.")
                break
            stamp = (status.st_mtime_ns, status.st_size)
            known = _kept.get(str(path))
            if known is None or known[0] != stamp:
                known = _kept[str(path)] = (stamp, *_read(path))
            count, size = count + 1, size + status.st_size
            templates += known[1]
            if known[2]:
                problems.append(known[2])
    return DataFiles(templates, problems, count)


def _roots(module_files: Iterable[str]) -> list[Path]:
    """Return the folders of modules, each before the root of its project."""
    folders = dict.fromkeys(Path(file).resolve().parent for file in module_files if not file.startswith("<"))
    roots = list(folders)
    for folder in folders:
        for parent in [folder, *folder.parents][:_PARENTS]:
            if any((parent / mark).exists() for mark in _ROOT_MARKS):
                roots.append(parent)
                break
    return list(dict.fromkeys(roots))


def _data_files(roots: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield data files, the nearest first."""
    waiting = deque((root, 0) for root in roots)
    visited: set[Path] = set()
    while waiting and len(visited) < MAX_FOLDERS:
        folder, depth = waiting.popleft()
        if folder in visited:
            continue
        visited.add(folder)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if depth < MAX_DEPTH and entry.name not in _SKIPPED:
                        waiting.append((Path(entry.path), depth + 1))
                elif os.path.splitext(entry.name)[1].lower() in _READERS and entry.is_file():
                    status = entry.stat()
                    if 0 < status.st_size <= MAX_FILE_BYTES:
                        yield Path(entry.path), status
            except OSError:
                continue


def _read(path: Path) -> tuple[list[SourceTemplate], str | None]:
    try:
        source = path.read_text(encoding="utf-8-sig")
        strings = list(_READERS[path.suffix.lower()](source))
    except OSError as error:
        return [], f"{path} was not read: {error.strerror}."
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        return [], f"{path} was not read: {' '.join(str(error).split())[:200]}."
    found: dict[tuple[str, str], SourceTemplate] = {}
    for keys, string in strings:
        name = prompt_name(path.stem, keys)
        for variant in dict.fromkeys((string, string.strip(), string.rstrip("\n"))):
            for reading in readings(make([variant], "file", 0)):
                template = template_of(reading, name, str(path), 0)
                if template is not None:
                    found.setdefault((name, template.template), template)
    return list(found.values()), None


Strings = Iterator[tuple[tuple[str, ...], str]]


def _whole(source: str) -> Strings:
    """Yield a text, and what follows its front matter."""
    yield (), source
    if source.startswith("---\n"):
        _head, mark, body = source[4:].partition("\n---\n")
        if mark:
            yield (), body


def _yaml(source: str) -> Strings:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a safe loader as well, and ten times as fast
    for document in yaml.load_all(source, Loader=loader):
        yield from _strings(document)


def _strings(document: Any) -> Strings:
    """Yield the strings in a document, each once, however often it is referred to."""
    waiting: deque[tuple[tuple[str, ...], Any]] = deque([((), document)])
    visited: set[int] = set()
    count = 0
    while waiting and count < _MAX_STRINGS:
        keys, value = waiting.popleft()
        count += 1
        if isinstance(value, str):
            yield keys, value
        elif isinstance(value, dict | list) and id(value) not in visited and len(keys) < _MAX_LEVELS:
            visited.add(id(value))
            children = value.items() if isinstance(value, dict) else enumerate(value)
            waiting.extend(((*keys, str(key)), child) for key, child in children)


_READERS: dict[str, Callable[[str], Strings]] = {
    **dict.fromkeys(_TEXT_FILES, _whole),
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": lambda source: _strings(tomllib.loads(source)),
    ".json": lambda source: _strings(json.loads(source)),
}
