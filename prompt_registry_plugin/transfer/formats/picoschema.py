"""Picoschema, dotprompt's short form of JSON Schema: `name?: string, what it is`, `tags(array): string`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.reading import MAX_DEPTH

_SCALARS = ("any", "boolean", "integer", "null", "number", "string")


class UnknownSchema(UserError):
    """A schema that a program defines, and that the file only names."""


def to_json_schema(schema: Any) -> Any:
    """Return the JSON Schema of a picoschema. JSON Schemas are returned unchanged.

    Raises `UnknownSchema` for the name of a schema that a program defines, `UserError` for what is no schema.
    """
    if not schema:
        return None
    if isinstance(schema, str):
        return _scalar(schema, at_top=True)
    if not isinstance(schema, Mapping):
        raise UserError(f"a schema is a mapping or a name, not {schema!r:.60}")
    if schema.get("type") in (*_SCALARS, "object", "array"):
        return dict(schema)
    if isinstance(schema.get("properties"), Mapping):
        return {**schema, "type": "object"}
    return _object(schema, 0)


def _object(fields: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise UserError("a schema is nested too deeply")
    properties: dict[str, Any] = {}
    required: list[str] = []
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    for key, value in fields.items():
        if key == "(*)":
            schema["additionalProperties"] = _schema(value, depth)
            continue
        name, bracket, info = key.partition("(")
        is_optional = name.endswith("?")
        name = name.removesuffix("?")
        required += [] if is_optional else [name]
        if bracket:
            properties[name] = _typed(info.split("(")[0][:-1], value, is_optional, depth)
        else:
            properties[name] = _nullable(_schema(value, depth), is_optional)
    if required:
        schema["required"] = required
    return schema


def _schema(value: Any, depth: int) -> dict[str, Any]:
    if isinstance(value, str):
        return _scalar(value, at_top=False)
    if not isinstance(value, Mapping):
        raise UserError(f"a picoschema consists of mappings and names of types, not of {value!r:.60}")
    return _object(value, depth + 1)


def _typed(info: str, value: Any, is_optional: bool, depth: int) -> dict[str, Any]:
    """Return the schema of a field with its type in parentheses: `(array, what it is)`."""
    kind, description = _split(info)
    if kind == "array":
        schema = _nullable({"type": "array", "items": _schema(value, depth)}, is_optional)
    elif kind == "object":
        schema = _nullable(_schema(value, depth), is_optional)
    elif kind == "enum":
        values = list(value) if isinstance(value, list | tuple) else [value]
        schema = {"enum": [*values, None] if is_optional and None not in values else values}
    else:
        raise UserError(f"the type in parentheses is 'array', 'object' or 'enum', not {kind!r}")
    return {**schema, **({"description": description} if description else {})}


def _scalar(text: str, *, at_top: bool) -> dict[str, Any]:
    kind, description = _split(text)
    if kind not in _SCALARS:
        raise UnknownSchema(f"the schema {kind!r} is defined in a program")
    schema = {} if kind == "any" and not at_top else {"type": kind}
    return {**schema, **({"description": description} if description else {})}


def _nullable(schema: dict[str, Any], is_optional: bool) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]} if is_optional and isinstance(schema.get("type"), str) else schema


def _split(text: str) -> tuple[str, str]:
    kind, _, description = text.partition(",")
    return kind, description.lstrip(" ")
