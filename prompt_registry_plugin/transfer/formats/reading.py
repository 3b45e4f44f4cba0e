"""Files of other tools as text, JSON or YAML, within limits: a file that was made to exhaust the memory or the stack is refused."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from prompt_registry_plugin.errors import UserError

MAX_BYTES = 16_000_000
"""The largest file that is read."""
MAX_YAML = 1_000_000
"""The longest YAML text in characters. YAML takes a thousand times longer to read than JSON."""
MAX_VALUES = 500_000
"""The most values, lists and mappings in one JSON document."""
MAX_YAML_VALUES = 50_000
"""The same for YAML. Values that an alias repeats count again."""
MAX_DEPTH = 64
"""How deep lists and mappings may be nested."""

_ENCODINGS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*(?:\r?\n|\Z)", re.S | re.M)


def read_text(path: str | Path, *, keep_line_ends: bool = False) -> str:
    """Return the text of a file without its byte order mark. Raises `UserError`.

    Line ends become `\\n`, unless `keep_line_ends`: some tools make `\\r\\n` part of a prompt, others do not.
    """
    path = Path(path).expanduser()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path} has over {MAX_BYTES // 1_000_000} MB, which is more than is read")
        data = path.read_bytes()
        mark = next((mark for mark in _ENCODINGS if data.startswith(mark)), b"")
        text = data[len(mark) :].decode(_ENCODINGS.get(mark, "utf-8"))
    except UnicodeError as error:
        raise UserError(f"{path} is not a UTF-8 text: {error}. Save it in UTF-8.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return text if keep_line_ends else text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: str | Path) -> Any:
    """Return the data in a JSON file. Raises `UserError` with the place of the error."""
    return parse_json(read_text(path), path)


def parse_json(text: str, where: str | Path) -> Any:
    """Return the data in a JSON text. Raises `UserError` with the place of the error, and for a document over the limits."""
    if len(text) > MAX_BYTES or text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise UserError(f"{where} holds over {MAX_VALUES:,} values, which is more than is read")
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise UserError(_too_deep(where)) from None
    except ValueError as error:
        raise UserError(f"{where} is not valid JSON: {error}") from error
    _check_depth(data, where)
    return data


def parse_yaml(text: str, where: str | Path, *, version: str = "1.1") -> Any:
    """Return the data in a YAML text: only what JSON can hold, with strings as keys.

    `version` is "1.1", as Python's tools read it, or "1.2", as those in JavaScript do: there `yes` and `12:30` are strings. Raises
    `UserError` with the place of the error, and for a document over the limits.
    """
    import yaml

    from prompt_registry_plugin.transfer.formats.yaml_loaders import LOADERS

    loader = LOADERS[version]
    try:
        check_yaml(text, where, loader)
        return _as_json(yaml.load(text, Loader=loader), where)  # noqa: S506  both loaders are safe ones
    except RecursionError:
        raise UserError(_too_deep(where)) from None
    except (yaml.YAMLError, ValueError) as error:
        shown = " ".join(str(error).split())
        raise UserError(f"{where} is not readable YAML: {shown}") from error


def check_yaml(text: str, where: str | Path, loader: Any) -> None:
    """Raise `UserError` for a YAML text over the limits: too long, too deep, or too large with what its aliases stand for.

    Builds nothing. `loader` is the class that reads it afterwards. Raises the errors of the package yaml for what is no YAML.
    """
    import yaml

    if len(text) > MAX_YAML:
        raise UserError(f"the YAML in {where} has over {MAX_YAML:,} characters, which is more than is read")
    _check_events(yaml.parse(text, Loader=loader), where)


def front_matter(text: str, where: str | Path, *, version: str = "1.1") -> tuple[dict[str, Any] | None, str]:
    """Return the YAML between two lines of `---` at the beginning of a text, and the rest; None and the text if there is none.

    Raises `UserError` if it cannot be read or is not a mapping.
    """
    match = _FRONT_MATTER.match(text)
    if match is None:
        return None, text
    data = parse_yaml(match[1], f"the front matter of {where}", version=version)
    if data is not None and not isinstance(data, dict):
        raise UserError(f"the front matter of {where} is not a mapping, but a {type(data).__name__}")
    return dict(data or {}), text[match.end() :]


def _check_events(events: Iterator[Any], where: str | Path) -> None:
    """Raise `UserError` for YAML that is too deep, or that aliases make too large. Builds nothing."""
    import yaml

    sizes: dict[str, int] = {}  # of what each anchor marks, with its aliases
    open_nodes: list[tuple[str | None, int]] = []
    total = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, total))
            total += 1
            if len(open_nodes) > MAX_DEPTH:
                raise UserError(_too_deep(where))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = total - before
        if total > MAX_YAML_VALUES:
            raise UserError(f"{where} holds over {MAX_YAML_VALUES:,} values, aliases included, which is more than is read")


def _as_json(value: Any, where: str | Path, depth: int = 0) -> Any:
    if depth > MAX_DEPTH:  # an alias within what it repeats
        raise UserError(_too_deep(where))
    if isinstance(value, dict):
        return {_key(key): _as_json(item, where, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item, where, depth + 1) for item in value]
    return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key)


def _check_depth(data: Any, where: str | Path) -> None:
    level, depth = [data], 0
    while level:
        if depth > MAX_DEPTH:
            raise UserError(_too_deep(where))
        depth += 1
        level = [
            item
            for value in level
            if isinstance(value, dict | list)
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, dict | list)
        ]


def _too_deep(where: str | Path) -> str:
    return f"{where} is nested more than {MAX_DEPTH} deep, which is more than is read"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
