"""Descriptions of tools, parameters and output schemas in the arguments of a model call, in the shape that each provider has.

OpenAI, Anthropic, Google and Bedrock nest the same few things differently: something with a name and a description, and a JSON schema
beside it. So one walk finds them all, and the same walk builds the copy in which they are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

Replace = Callable[[str, str], str]
"""Takes a description and its key, such as `tools/search.query`; returns the description to use, or the same object."""

_TOOLS = ("tools", "functions")
_OUTPUTS = ("response_format", "response_schema", "response_json_schema", "output_config", "output_format", "text", "format")
_ARGUMENTS = (*_TOOLS, *_OUTPUTS)
_SCHEMAS = frozenset(
    {"parameters", "input_schema", "inputSchema", "parameters_json_schema", "parametersJsonSchema", "schema", "json"}
)
_NESTED = frozenset({"function", "toolSpec", "function_declarations", "functionDeclarations", "json_schema", "format"})
_DEEPEST = 20  # levels of a schema; one of a recursive type could refer to itself


def descriptions_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the descriptions in the arguments of a model call, by key: `tools/NAME`, `tools/NAME.PARAMETER`, `output`, `output.FIELD`."""
    found: dict[str, str] = {}

    def note(text: str, key: str) -> str:
        found.setdefault(key, text)
        return text

    replace_descriptions(arguments, note)
    return found


def has_descriptions(arguments: Mapping[str, Any]) -> bool:
    """Return whether the arguments of a model call may hold descriptions."""
    return not arguments.keys().isdisjoint(_ARGUMENTS)


def replace_descriptions(arguments: Mapping[str, Any], replace: Replace) -> Mapping[str, Any]:
    """Return the arguments with each description replaced: copies of what changes, the very same objects of what does not."""
    changed: dict[str, Any] = {}
    for names, walk in ((_TOOLS, _tools), (_OUTPUTS, _output)):
        for name in names:
            if (given := arguments.get(name)) and (new := walk(given, replace)) is not given:
                changed[name] = new
    return {**arguments, **changed} if changed else arguments


def _tools(given: Any, replace: Replace) -> Any:
    """Return a tool or a list of tools, at whatever depth a provider keeps them."""
    if isinstance(given, list | tuple):
        return _rebuilt(given, [_tools(item, replace) for item in given])
    if not isinstance(given, dict):
        return given  # a client's own object
    name = given.get("name")
    if isinstance(name, str):
        return _described(given, f"tools/{name}", replace)
    return _with(given, {key: _tools(given[key], replace) for key in _NESTED & given.keys()})


def _output(given: Any, replace: Replace) -> Any:
    """Return an output schema: a JSON schema, something that holds one, or a Pydantic model."""
    if isinstance(given, type) and issubclass(given, BaseModel):
        schema = _schema_of(given)
        new = _schema(schema, "output", replace)
        return given if new is schema else _model_with_schema(given, new)
    if not isinstance(given, dict):
        return given
    if nested := {key: _output(given[key], replace) for key in ("json_schema", "format") if isinstance(given.get(key), dict)}:
        return _with(given, nested)
    if isinstance(given.get("schema"), dict):
        return _described(given, "output", replace)
    return _schema(given, "output", replace) if "properties" in given else given


def _described(given: dict[str, Any], key: str, replace: Replace) -> dict[str, Any]:
    """Return a dictionary with a description, and the JSON schema beside it."""
    new = _own_description(given, key, replace)
    for name in _SCHEMAS & given.keys():
        schema = given[name]
        if isinstance(schema, dict):
            inner = schema.get("json")  # Bedrock's inputSchema
            if isinstance(inner, dict):
                new[name] = _with(schema, {"json": _schema(inner, key, replace)})
            else:
                new[name] = _schema(schema, key, replace)
    return _with(given, new)


def _own_description(given: Mapping[str, Any], key: str, replace: Replace) -> dict[str, Any]:
    text = given.get("description")
    return {"description": replace(text, key)} if isinstance(text, str) and text.strip() else {}


def _schema(schema: dict[str, Any], key: str, replace: Replace, depth: int = 0) -> dict[str, Any]:
    """Return a JSON schema with the descriptions in it; `key` is that of the schema, and its fields' begin with it."""
    if depth > _DEEPEST:
        return schema
    new = _own_description(schema, key, replace)
    for name in ("properties", "$defs", "definitions"):
        fields = schema.get(name)
        if isinstance(fields, dict):
            new[name] = _with(
                fields,
                {
                    field: _schema(value, f"{key}.{field}", replace, depth + 1)
                    for field, value in fields.items()
                    if isinstance(value, dict)
                },
            )
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            new[name] = _schema(schema[name], f"{key}.{name}", replace, depth + 1)
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(name), list):
            parts = [
                _schema(option, f"{key}.{name}-{number}", replace, depth + 1) if isinstance(option, dict) else option
                for number, option in enumerate(options, 1)
            ]
            new[name] = _rebuilt(options, parts)
    return _with(schema, new)


def _with(given: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with new values; the same object if none is new."""
    return given if all(given[key] is value for key, value in new.items()) else {**given, **new}


def _rebuilt(given: Any, items: Iterable[Any]) -> Any:
    items = list(items)
    return given if all(old is new for old, new in zip(given, items, strict=True)) else type(given)(items)


@lru_cache(maxsize=256)
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except Exception:  # noqa: BLE001  a type without a JSON schema: whoever sends it says so
        return {}


def _model_with_schema(model: type[BaseModel], schema: dict[str, Any]) -> type[BaseModel]:
    """Return a model that clients see with another JSON schema, and whose answers are instances of the original."""

    def model_json_schema(cls: type[BaseModel], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return schema

    namespace = {
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__doc__": model.__doc__,
        "model_json_schema": classmethod(model_json_schema),
    }
    copy: type[BaseModel] = type(model)(model.__name__, (model,), namespace)  # type: ignore[misc]  # its metaclass, not `type`
    copy.__pydantic_validator__ = model.__pydantic_validator__
    return copy
