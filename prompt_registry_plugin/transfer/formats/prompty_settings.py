"""The front matter of Prompty 1 and 2: model settings, inputs with defaults, outputs and tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.credentials import without_credentials
from prompt_registry_plugin.transfer.formats.model_settings import split_settings
from prompt_registry_plugin.transfer.formats.reading import parse_json, parse_yaml, read_text

RICH_KINDS = ("thread", "image", "file", "audio")
"""Kinds of inputs that become messages or parts of one."""
_VERSION_1 = ("sample", "authors", "base", "tags", "version")
_READ = {
    "name",
    "description",
    "model",
    "inputs",
    "outputs",
    "tools",
    "template",
    "sample",
    "authors",
    "tags",
    "metadata",
    "inputSchema",
}
_TYPES = {"string": "string", "integer": "integer", "float": "number", "number": "number", "boolean": "boolean", "array": "array",
          "object": "object"}  # fmt: skip


@dataclass(slots=True)
class Settings:
    """What the front matter says."""

    version: int = 2
    """1 or 2: the version of Prompty that the file is written for."""
    description: str | None = None
    authors: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    model_config: dict[str, Any] = field(default_factory=dict)
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    template_format: str = "jinja2"
    is_chat: bool = True
    """Whether the text is split into messages."""
    inputs: set[str] = field(default_factory=set)
    """Names of all inputs that are declared."""
    schemas: dict[str, Any] = field(default_factory=dict)
    """JSON Schema by input."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """Value by input that may be missing."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Kind by input, for the kinds in `RICH_KINDS`."""
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_settings(head: dict[str, Any], path: Path) -> Settings:
    """Return what a front matter says. Raises `UserError` for what has no counterpart here."""
    head = {key: _with_files(value, path) for key, value in head.items()}
    model = head.get("model")
    is_version_1 = any(key in head for key in _VERSION_1) or (
        isinstance(model, Mapping) and bool(model.keys() & {"api", "configuration", "parameters", "response"})
    )
    settings = Settings(1 if is_version_1 else 2)
    settings.description = _text(head.get("description"))
    metadata = _mapping(head.get("metadata"), "metadata", path)
    settings.authors = [str(author) for author in _list(head.get("authors") or metadata.get("authors"))]
    settings.tags = {str(tag): "true" for tag in _list(head.get("tags") or metadata.get("tags"))}
    _add_tags(settings, {key: value for key, value in metadata.items() if key not in ("authors", "tags")})
    _add_tags(settings, {key: value for key, value in head.items() if key not in _READ})
    if "base" in head:
        raise UserError(f"{path.name} builds on another file, {head['base']!r}; import a file that stands alone")
    _read_template(settings, head.get("template"), path)
    _read_model(settings, model, path)
    _read_inputs(settings, head, path)
    outputs = list(_properties(head.get("outputs"), "outputs", path))
    if outputs:
        settings.response_format = _object_schema(outputs, strict=True, path=path)
    for tool in _properties(head.get("tools"), "tools", path):
        settings.tools.append(_tool(tool, path))
    settings.tools, dropped = without_credentials(settings.tools, "tools")
    settings.left_out += dropped
    return settings


def _read_template(settings: Settings, template: Any, path: Path) -> None:
    if isinstance(template, Mapping):
        kind, parser = template.get("format", template.get("type")), template.get("parser")
    else:
        kind, parser = template, None
    kind = kind.get("kind") if isinstance(kind, Mapping) else kind
    parser = parser.get("kind") if isinstance(parser, Mapping) else parser
    settings.template_format = str(kind) if kind not in (None, "", "*") else "jinja2"
    if parser not in (None, "", "*", "prompty"):
        raise UserError(f"{path.name} is split into messages by the parser {parser!r}, which is not known here")
    if settings.template_format not in ("jinja2", "nunjucks", "mustache"):
        raise UserError(
            f"the templates of {path.name} are {settings.template_format!r}; jinja2, nunjucks and mustache can be imported"
        )


def _read_model(settings: Settings, model: Any, path: Path) -> None:
    if model is None or isinstance(model, str):
        settings.model_config = {"model": model} if model else {}
        return
    model = _mapping(model, "model", path)
    known = {"id", "provider", "apiType", "connection", "options", "api", "configuration", "parameters", "response"}
    config: dict[str, Any] = {"model": model["id"]} if model.get("id") else {}
    config |= {key: model[key] for key in ("provider", "apiType") if model.get(key)}
    options = dict(_mapping(model.get("options"), "model.options", path))
    config |= options.pop("additionalProperties", None) or {}
    config |= {**options, **_mapping(model.get("parameters"), "model.parameters", path)}
    config |= {key: value for key, value in model.items() if key not in known}
    place = _mapping(model.get("configuration"), "model.configuration", path)
    config = {key: value for key, value in place.items() if key != "type"} | config
    settings.is_chat = model.get("apiType") in (None, "", "chat", "responses") and model.get("api") in (
        None,
        "",
        "chat",
        "prompty",
    )
    config, settings.response_format, tools, notes = split_settings(config)
    settings.tools += tools or []
    settings.notes += notes
    if model.get("connection") is not None:
        settings.notes.append("'connection' stays with the program that calls the model")
    if model.get("response") and model["response"] != "first":
        settings.notes.append("'model.response' stays with the program that calls the model")
    settings.model_config, dropped = without_credentials(config, "model")
    settings.left_out += dropped


def _read_inputs(settings: Settings, head: Mapping[str, Any], path: Path) -> None:
    schema = _mapping(head.get("inputSchema"), "inputSchema", path)
    for prop in [*_properties(head.get("inputs"), "inputs", path), *_properties(schema.get("properties"), "inputSchema", path)]:
        name, kind = prop["name"], prop.get("kind", prop.get("type"))
        settings.inputs.add(name)
        if kind in RICH_KINDS:
            settings.kinds[name] = kind
            continue
        settings.schemas[name] = _schema(prop, strict=False, path=path)
        if prop.get("default") is not None:
            settings.defaults[name] = prop["default"]
            settings.schemas[name]["default"] = prop["default"]
        elif prop.get("required") is False:
            settings.defaults[name] = ""
        if "example" in prop:
            settings.schemas[name]["examples"] = [prop["example"]]
    sample = _mapping(head.get("sample"), "sample", path)
    settings.defaults |= sample
    settings.inputs |= sample.keys()


def _tool(tool: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return a tool as the chat protocol has it. Kinds that it does not know stay as they are, with `type` for `kind`."""
    if tool.get("kind") != "function":
        return {"type": tool.get("kind"), **{key: value for key, value in tool.items() if key not in ("kind", "connection")}}
    if tool.get("type") == "function" and isinstance(tool.get("function"), Mapping):
        return {key: value for key, value in tool.items() if key != "name"}
    strict = bool(tool.get("strict"))
    bound = tool.get("bindings") or {}
    names = set(bound) if isinstance(bound, Mapping) else {item.get("name") for item in bound if isinstance(item, Mapping)}
    function: dict[str, Any] = {"name": tool["name"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    parameters = tool.get("parameters")
    if isinstance(parameters, Mapping) and parameters.get("type") == "object":
        function["parameters"] = dict(parameters)
    elif parameters:
        found = [prop for prop in _properties(parameters, f"tool {tool['name']!r}", path) if prop["name"] not in names]
        function["parameters"] = _object_schema(found, strict=strict, path=path)
        if not strict:
            function["parameters"].pop("additionalProperties")
    if strict:
        function["strict"] = True
    return {"type": "function", "function": function, **({"bindings": bound} if bound else {})}


def _object_schema(properties: list[dict[str, Any]], *, strict: bool, path: Path) -> dict[str, Any]:
    """Return the JSON Schema that Prompty sends for named properties: if `strict`, all are required and optional ones nullable."""
    required = [prop["name"] for prop in properties if strict or prop.get("required")]
    return {
        "type": "object",
        "properties": {prop["name"]: _schema(prop, strict=strict, path=path) for prop in properties},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }


def _schema(prop: Mapping[str, Any], *, strict: bool, path: Path) -> dict[str, Any]:
    kind = prop.get("kind", prop.get("type"))
    if prop.get("oneOf") or (kind not in _TYPES and kind not in (None, "any", "union")):
        raise UserError(f"property {prop.get('name')!r} of {path.name} has the kind {kind!r}, which has no JSON Schema here")
    schema: dict[str, Any] = {"type": _TYPES[str(kind)]} if kind in _TYPES else {}
    if prop.get("description"):
        schema["description"] = prop["description"]
    if values := prop.get("enumValues") or prop.get("enum"):
        schema["enum"] = list(values)
    if kind == "array" and (strict or prop.get("items")):
        schema["items"] = _schema(_property(prop.get("items") or "string"), strict=strict, path=path)
    if kind == "object" and (strict or prop.get("properties")):
        inner = list(_properties(prop.get("properties"), "properties", path))
        schema |= {key: value for key, value in _object_schema(inner, strict=strict, path=path).items() if key != "type"}
    if kind == "union":
        schema["anyOf"] = [_schema(_property(branch), strict=strict, path=path) for branch in _list(prop.get("anyOf"))]
    if prop.get("nullable") or (strict and "name" in prop and not prop.get("required")):
        if isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
        if "enum" in schema and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    return schema


def _properties(value: Any, what: str, path: Path) -> Iterator[dict[str, Any]]:
    """Yield named properties: from a list of mappings, or a mapping of names to mappings, or to examples."""
    if value is None:
        return
    if isinstance(value, Mapping):
        value = [{"name": name, **_property(item)} for name, item in value.items()]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in value):
        raise UserError(f"{what!r} of {path.name} is not a list of mappings with a 'name', nor a mapping")
    yield from map(dict, value)


def _property(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    kinds = {bool: "boolean", int: "integer", float: "float", str: "string"}
    if value in _TYPES and isinstance(value, str):
        return {"kind": value}
    return {"kind": kinds.get(type(value), "any"), "example": value}


def _with_files(value: Any, path: Path, depth: int = 0) -> Any:
    """Return front matter with `${file:…}` replaced by the data of that file, which has to be below the prompt's folder."""
    if isinstance(value, dict):
        return {key: _with_files(item, path, depth) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_files(item, path, depth) for item in value]
    if not isinstance(value, str) or not value.startswith("${file:") or not value.endswith("}"):
        return value
    root, file = path.parent.resolve(), (path.parent / value[len("${file:") : -1]).resolve()
    if not file.is_relative_to(root) or depth > 4:
        raise UserError(f"{path.name} reads {value!r}, which is outside its folder, or files within files")
    text = read_text(file)
    data = parse_json(text, file) if file.suffix == ".json" else text
    data = parse_yaml(text, file) if file.suffix in (".yml", ".yaml") else data
    return _with_files(data, path, depth + 1)


def _add_tags(settings: Settings, values: Mapping[str, Any]) -> None:
    settings.tags |= {
        str(key): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in values.items()
    }


def _mapping(value: Any, what: str, path: Path) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{what!r} of {path.name} is not a mapping, but {value!r:.60}")
    return value or {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _text(value: Any) -> str | None:
    return None if value in (None, "") else str(value)
