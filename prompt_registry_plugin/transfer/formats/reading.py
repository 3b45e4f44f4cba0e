"""What the importers share: reading files, and other dialects' braces."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.templates.text import VARIABLE_NAME, to_source

_VARIABLE = re.compile(r"\{\{\s*(" + VARIABLE_NAME + r")\s*\}\}", re.ASCII)
_JINJA = re.compile(r"\{%|\{#|\{\{(?P<inside>[^{}]*)\}\}")
_MAX_NODES = 100_000
_MAX_FILE = 20_000_000


def read_text(path: str | Path) -> str:
    """The text of a file, without a byte order mark. Raises `UserError`."""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def read_json(path: str | Path) -> Any:
    """The data in a JSON file. Raises `UserError` with the place of the fault."""
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply") from error
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from error


def read_yaml(text: str, path: str | Path) -> Any:
    """The data in a YAML text; only plain data, never objects. Raises `UserError` with the place of the fault."""
    import yaml

    if len(text) > _MAX_FILE or re.search(r"(?:[\[{]\s{0,8}){200}|(?:-[ \t]){200}", text):
        raise UserError(f"{path} is too large, or nested too deeply")
    try:
        if "*" in text and "&" in text:
            _check_expansion(yaml.compose(text, Loader=yaml.SafeLoader), path)
        return yaml.safe_load(text)
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{path} is no readable YAML: {error}") from error


def _check_expansion(node: Any, path: str | Path) -> None:
    """Raise `UserError` if the aliases of a YAML document stand for too much: ten lines can mean a billion values."""
    sizes: dict[int, int] = {}

    def size_of(node: Any) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 1
            children = node.value if isinstance(getattr(node, "value", None), list) else []
            parts = [part for child in children for part in (child if isinstance(child, tuple) else (child,))]
            sizes[id(node)] += sum(size_of(part) for part in parts)
            if sizes[id(node)] > _MAX_NODES:
                raise UserError(f"{path} is too large: its aliases stand for more than {_MAX_NODES:,} values")
        return sizes[id(node)]

    size_of(node)


def from_braces(text: str) -> str:
    """Our form of a text in which `{{name}}` is a variable and every other brace stands for itself, as tools that leave alone
    what they cannot read treat it."""
    pieces: list[tuple[str, str | None]] = []
    position = 0
    for match in _VARIABLE.finditer(text):
        pieces.append((text[position : match.start()], match[1]))
        position = match.end()
    return to_source([*pieces, (text[position:], None)])


def needs_jinja(template: Any) -> bool:
    """Whether a text, or any text of some messages, has more in its braces than names."""
    found = False

    def look(text: str) -> str:
        nonlocal found
        found = found or any(match["inside"] is None or re.search(r"[|(\[]", match["inside"]) for match in _JINJA.finditer(text))
        return text

    map_strings(template, look)
    return found


def with_texts(template: Any, function: Any) -> Template:
    """A text, or messages with their contents, with every text replaced."""
    if isinstance(template, str):
        replaced: str = function(template)
        return replaced
    return [
        {**message, "content": map_strings(message["content"], function)}
        if isinstance(message, Mapping) and "content" in message
        else message
        for message in template
    ]


def front_matter(text: str, path: str | Path) -> tuple[dict[str, Any], str]:
    """The YAML between two lines of `---` at the beginning of a text, and what follows. Raises `UserError`."""
    match = re.match(r"---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*(?:\r?\n|\Z)", text, re.S | re.M)
    if match is None:
        return {}, text
    data = read_yaml(match[1], path)
    if data is not None and not isinstance(data, Mapping):
        raise UserError(f"the front matter of {path} is a mapping, not {type(data).__name__}")
    return dict(data or {}), text[match.end() :]


def alias_from(text: object) -> str:
    """An alias that the registry allows, as near to `text` as possible."""
    alias = re.sub(r"[^A-Za-z0-9_.\-]+", "-", str(text)).strip("-.") or "label"
    return f"label-{alias}" if not re.match(r"[A-Za-z_]", alias) or re.fullmatch(r"v?\d+|latest", alias, re.I) else alias


def name_from(text: object, fallback: str) -> str:
    """A name that the registry allows, as near to `text` as possible."""
    parts = [re.sub(r"[^A-Za-z0-9_.\-]+", "-", part).strip("-.") for part in str(text or "").split("/")]
    return "/".join(part for part in parts if part) or fallback
