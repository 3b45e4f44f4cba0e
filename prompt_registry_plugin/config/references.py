"""Names and keys in a configuration file: what is defined elsewhere in it is found by name, and what looks mistyped is told."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from prompt_registry_plugin import uri
from prompt_registry_plugin.config.reading import Fault, Path_, Source
from prompt_registry_plugin.errors import UserError, did_you_mean

logger = logging.getLogger(__name__)
_CLOSE = 0.75  # as alike as a mistyped key is
_KINDS = {
    "schema": "schemas",
    "model": "llms",
    "reflection_model": "llms",
    "scorer_model": "llms",
    "prompt": "prompts",
    "agent": "agents",
}


def resolve_names(source: Source, faults: list[Fault]) -> dict[str, Any]:
    """The data with everything that is named by a text in place of its name."""
    data = source.data
    resources = data.get("resources")
    sections: dict[str, dict[str, Any]] = {
        "schemas": _section(data, "schemas"),
        "llms": _section(resources, "llms") if isinstance(resources, dict) else {},
        "prompts": _section(data, "prompts"),
        "agents": _section(data, "agents"),
    }

    def parse_shorthand(kind: str, said: str, path: Path_) -> dict[str, Any] | None:
        try:
            return _parse_shorthand(kind, said)
        except UserError as error:
            faults.append(Fault(path, str(error)))
            return None

    def find(key: str, said: Any, path: Path_) -> Any:
        kind = _KINDS[key]
        if isinstance(said, str) and said not in sections[kind] and (made := parse_shorthand(kind, said, path)):
            return made
        if isinstance(said, str) and said not in sections[kind]:
            known = did_you_mean(said, sections[kind]) or f"; there are {', '.join(sections[kind]) or 'none'}"
            faults.append(Fault(path, f"nothing under {'resources.' if kind == 'llms' else ''}{kind} is called {said!r}{known}"))
            return None
        return within(sections[kind][said] if isinstance(said, str) else said, path, kind)

    def within(part: Any, path: Path_, kind: str) -> Any:
        if kind == "prompts" and isinstance(part, str):
            if (made := parse_shorthand("prompts", part, path)) is None and all(fault.path != path for fault in faults):
                faults.append(Fault(path, f"a prompt is a mapping, or a URI such as prompts:/name@alias, not {part!r:.60}"))
            return made or part
        if not isinstance(part, dict):
            return part
        keys = {"prompts": ("schema",), "agents": ("model", "prompt")}.get(kind, ())
        if kind == "optimizations":
            keys = ("prompt", "agent", "reflection_model", "scorer_model")
        found = {
            key: find(key, value, (*path, key)) if key in keys and value is not None else value for key, value in part.items()
        }
        return {key: value for key, value in found.items() if value is not None or part[key] is None}

    out = dict(data)
    for kind in ("prompts", "agents"):
        if sections[kind]:
            out[kind] = {name: within(part, (kind, name), kind) for name, part in sections[kind].items()}
    every = _section(data.get("optimizations"), "prompt_optimizations")
    if every:
        at: Path_ = ("optimizations", "prompt_optimizations")
        made = {name: within(part, (*at, name), "optimizations") for name, part in every.items()}
        out["optimizations"] = {**data["optimizations"], "prompt_optimizations": made}
    return out


def is_by_name(source: Source, path: Path_) -> bool:
    """Whether a value is written elsewhere in the file, and named here or above."""
    value: Any = source.data
    for part in path:
        if isinstance(value, str):
            return True
        value = value.get(part) if isinstance(value, dict) else None
    return isinstance(value, str) and path[-1] in _KINDS


def _section(data: Any, name: str) -> dict[str, Any]:
    found = data.get(name) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _parse_shorthand(kind: str, said: str) -> dict[str, Any] | None:
    """What a text stands for by itself: a prompt's URI, a model as `provider:name`, an agent as `module:name`."""
    if kind == "prompts" and uri.is_prompt_uri(said):
        reference = uri.parse(said)
        return {"name": reference.name, "version": reference.version, "alias": reference.alias}
    if kind == "llms" and ":" in said:
        return {"name": said}
    if kind == "agents" and ":" in said:
        return {"name": said, "target": said}
    if kind == "schemas" and said.count(".") == 1:
        return dict(zip(("catalog_name", "schema_name"), said.split("."), strict=True))
    return None


def check_keys(model: type[BaseModel], data: Any, path: Path_, source: Source, faults: list[Fault]) -> None:
    """Keys that nobody knows: those that look mistyped are faults, the others are somebody else's and are told."""
    if not isinstance(data, dict):
        return
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for key, value in data.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, 1, _CLOSE)
            if close:
                faults.append(Fault((*path, key), f"unknown key; did you mean {close[0]!r}?"))
            else:
                logger.info(source.describe(Fault((*path, key), "not read here")))
            continue
        for inner, part, at in _parts(known[key].annotation, value, (*path, key)):
            check_keys(inner, part, at, source, faults)


def _parts(annotation: Any, value: Any, path: Path_) -> Iterator[tuple[type[BaseModel], Any, Path_]]:
    """The models inside a field's value, with where they stand."""
    arguments: tuple[Any, ...] = getattr(annotation, "__args__", ())
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, value, path
    elif getattr(annotation, "__origin__", None) is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from _parts(arguments[1], item, (*path, key))
    else:
        for argument in arguments:
            if argument is not dict:
                yield from _parts(argument, value, path)
