"""Model settings of other tools, divided into what the registry keeps apart: settings, response format, tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def split_settings(
    settings: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any] | None, list[dict[str, Any]] | None, list[str]]:
    """Return settings without tools and response format, the JSON Schema of the answer, the tools, and what is different here.

    A response format without a schema, and tools that are not a list of definitions, stay settings.
    """
    rest, notes = dict(settings), list[str]()
    tools = rest.get("tools")
    if isinstance(tools, list) and tools and all(isinstance(tool, Mapping) for tool in tools):
        del rest["tools"]
    else:
        tools = None
    response_format = rest.get("response_format")
    described = response_format.get("json_schema", response_format) if isinstance(response_format, Mapping) else None
    schema = described.get("schema") if isinstance(described, Mapping) else None
    if not isinstance(schema, Mapping) or not isinstance(described, Mapping):
        return rest, None, tools, notes
    del rest["response_format"]
    if described.get("strict") is not None:
        notes.append("'strict' of the response format is not kept")
    return rest, ({"title": described["name"]} if described.get("name") else {}) | dict(schema), tools, notes
