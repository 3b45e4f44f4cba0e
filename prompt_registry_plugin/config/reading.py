"""YAML with the line of every value: anchors, merge keys, environment variables, and names for what is defined elsewhere in the file.

`*name` without an anchor of that name is the text `name`, so that an excerpt whose anchors were left out still says what it means; the
references that may be texts are looked up by name anyway (`config.models`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.reading import check_yaml

Path_ = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|\$\$(?=\{)")
_MOST = 100_000
_VERBATIM = ("default_template", "rows")  # what is said to models is nobody's setting


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong with a value."""

    path: Path_
    message: str


@dataclass(frozen=True, slots=True)
class Source:
    """The data of a file, and the line of each value by its path."""

    file: str
    data: dict[str, Any]
    lines: Mapping[Path_, int]

    def line_of(self, fault: Fault) -> int:
        """The line of a value; of the nearest above it that is written, where it is not."""
        known = fault.path
        while known and known not in self.lines:
            known = known[:-1]
        return self.lines.get(known, 1)

    def describe(self, fault: Fault) -> str:
        """A fault as `file:line: path: message`."""
        path = ".".join(map(str, fault.path))
        return f"{self.file}:{self.line_of(fault)}: {path + ': ' if path else ''}{fault.message}"


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, for which an alias without an anchor is a text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            if event.anchor not in self.anchors:
                self.get_event()  # type: ignore[no-untyped-call]
                return yaml.ScalarNode("tag:yaml.org,2002:str", event.anchor, event.start_mark, event.end_mark)
        return super().compose_node(parent, index)


def read_yaml(path: str | os.PathLike[str]) -> Source:
    """The mapping that a YAML file holds. Raises `UserError`, with file and line, for what cannot be read."""
    file = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text: {error}") from error
    try:
        check_yaml(text, file, _Loader)
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Path_, int] = {}
        _find_lines(node, (), lines, file, ())
        data = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{file}:{mark.line + 1 if mark else 1}: this is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: this is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise UserError(f"{file}:1: a configuration is a mapping (prompts: …), not a {type(data).__name__}")
    source = Source(file, {}, lines)
    return Source(file, _with_variables(data, (), source), lines)


def _find_lines(node: Any, path: Path_, lines: dict[Path_, int], file: str, above: tuple[int, ...]) -> None:
    if node is None:
        return
    if id(node) in above:
        raise UserError(f"{file}:{node.start_mark.line + 1}: this refers to itself")
    if len(lines) > _MOST:
        raise UserError(f"{file}: this is too large: more than {_MOST} values, with what its aliases stand for")
    lines.setdefault(path, node.start_mark.line + 1)
    inside = (*above, id(node))
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            _find_lines(item, (*path, i), lines, file, inside)
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            name, merges = str(key.value), key.tag == "tag:yaml.org,2002:merge"
            if name in keys and not merges:
                raise UserError(f"{file}:{key.start_mark.line + 1}: {'.'.join(map(str, (*path, name)))} stands here twice")
            keys.add(name)
            if merges:
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    _find_lines(merged, path, lines, file, inside)
            else:
                lines[*path, name] = key.start_mark.line + 1
                _find_lines(value, (*path, name), lines, file, inside)


def _with_variables(value: Any, path: Path_, source: Source) -> Any:
    """The data with `${NAME}` and `${NAME:-default}` read from the environment; `$${` is `${`."""
    if isinstance(value, dict):
        return {
            str(key): item if key in _VERBATIM else _with_variables(item, (*path, str(key)), source)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_variables(item, (*path, i), source) for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def read(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        found = os.environ.get(match["name"])
        if not found and match["default"] is not None:
            found = match["default"]
        if found is None:
            name = match["name"]
            raise UserError(
                source.describe(Fault(path, f"the environment variable {name} is not set; ${{{name}:-…}} gives a default"))
            )
        return found

    return _VARIABLE.sub(read, value)
