"""The descriptions of tools and of their parameters, in the declarations that ADK sends. The declarations are never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.frameworks.descriptions import Descriptions

_MAX_DEPTH = 30


def serve_tools(tools: Any, tools_by_name: Mapping[str, Any], descriptions: Descriptions) -> Any:
    """Return the tools of a request with the descriptions of the registry; the same list if nothing is replaced."""
    served = [_serve_tool(tool, tools_by_name, descriptions) for tool in tools or ()]
    return served if any(now is not before for now, before in zip(served, tools or (), strict=True)) else tools


def _serve_tool(tool: Any, tools_by_name: Mapping[str, Any], descriptions: Descriptions) -> Any:
    declarations = getattr(tool, "function_declarations", None)
    if not declarations:
        return tool
    served = [each if _is_own(tools_by_name.get(each.name)) else _serve_declaration(each, descriptions) for each in declarations]
    is_same = all(now is before for now, before in zip(served, declarations, strict=True))
    return tool if is_same else tool.model_copy(update={"function_declarations": served})


def _is_own(tool: Any) -> bool:
    """Return whether a tool is a function of ADK's, whose description is no text of the agent's code."""
    return str(getattr(getattr(tool, "func", None), "__module__", "")).startswith("google.adk.")


def _serve_declaration(declaration: Any, descriptions: Descriptions) -> Any:
    key = f"tools/{declaration.name}"
    schema = getattr(declaration, "parameters_json_schema", None)
    served = {
        "description": descriptions.serve(declaration.description, key),
        "parameters": _serve_schema(declaration.parameters, key, descriptions),
        "parameters_json_schema": descriptions.serve_schema(schema, key),
    }
    changed = {name: value for name, value in served.items() if value is not getattr(declaration, name, None)}
    return declaration.model_copy(update=changed) if changed else declaration


def _serve_schema(schema: Any, key: str, descriptions: Descriptions, depth: int = 0) -> Any:
    """Return a schema of Gemini's own kind with the descriptions of the registry."""
    if schema is None or depth > _MAX_DEPTH:
        return schema
    changed: dict[str, Any] = {}
    if depth and (text := descriptions.serve(schema.description, key)) is not schema.description:
        changed["description"] = text
    if properties := schema.properties:
        inner = {name: _serve_schema(each, f"{key}.{name}", descriptions, depth + 1) for name, each in properties.items()}
        if any(inner[name] is not each for name, each in properties.items()):
            changed["properties"] = inner
    if (items := _serve_schema(schema.items, key, descriptions, depth + 1)) is not schema.items:
        changed["items"] = items
    return schema.model_copy(update=changed) if changed else schema
