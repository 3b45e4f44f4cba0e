"""LangSmith: the manifest of a prompt, LangChain's serialised form. It is read as data: no class in it is ever made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import InvalidTemplate, UserError
from prompt_registry_plugin.protocols import ImportedPrompt, NewVersion
from prompt_registry_plugin.records import TemplateFormat
from prompt_registry_plugin.templates.convert import from_mustache, from_single_brace
from prompt_registry_plugin.templates.text import to_source
from prompt_registry_plugin.transfer.formats.reading import name_from, read_json

_ROLES = {"System": "system", "Human": "user", "AI": "assistant"}
_SETTINGS = ("model", "model_name", "temperature", "top_p", "max_tokens", "stop", "presence_penalty", "frequency_penalty", "n")


def read(source: str) -> Iterable[ImportedPrompt]:
    """The prompt of a manifest, named after its repository, or its file. Raises `UserError` for other JSON."""
    data = read_json(source)
    for commit in data if isinstance(data, list) else [data]:
        if not isinstance(commit, Mapping):
            raise UserError(f"{source} holds no LangSmith manifest")
        manifest = commit.get("manifest", commit)
        name = name_from(commit.get("repo") or commit.get("repo_handle") or commit.get("name") or Path(source).stem, "prompt")
        yield ImportedPrompt(name, [_version(name, manifest, commit, source)], {}, {})


def _version(name: str, manifest: Any, commit: Mapping[str, Any], source: str) -> NewVersion:
    prompt, config, tools = manifest, None, None
    if _class(manifest) == "RunnableSequence":  # a prompt and the model that it was saved with
        steps = manifest["kwargs"]
        prompt = steps.get("first")
        bound = (steps.get("last") or {}).get("kwargs") or {}
        model = bound.get("bound") or steps.get("last") or {}
        settings = model.get("kwargs") or {}
        config = {key: settings[key] for key in _SETTINGS if isinstance(settings.get(key), str | int | float | list)} or None
        tools = (bound.get("kwargs") or {}).get("tools") or None
    kind = _class(prompt)
    if kind == "PromptTemplate":
        formats = {_format(prompt)}
        template: Any = _text(prompt, name)
    elif kind in ("ChatPromptTemplate", "StructuredPrompt"):
        messages = prompt["kwargs"].get("messages") or []
        formats = {found for message in messages for found in _formats(message)}
        template = [_message(message, name) for message in messages]
    else:
        raise UserError(f"{source} holds no prompt that can be read, but {kind or type(prompt).__name__!r}")
    if "jinja2" in formats and len(formats) > 1:
        raise InvalidTemplate(f"prompt {name!r} in {source} mixes jinja2 with other template formats")
    template_format: TemplateFormat = "jinja2" if "jinja2" in formats else "double_brace"
    return NewVersion(
        name,
        template,
        template_format=template_format,
        tags={"langsmith_commit": str(commit["commit_hash"])} if commit.get("commit_hash") else {},
        response_format=prompt["kwargs"].get("schema_") or prompt["kwargs"].get("schema"),
        model_config=config,
        tools=tools,
        created_by="langsmith",
    )


def _message(message: Any, name: str) -> dict[str, Any]:
    kind, kwargs = _class(message), (message or {}).get("kwargs") or {}
    if kind == "MessagesPlaceholder":
        return {"type": "placeholder", "name": kwargs["variable_name"], **({"optional": True} if kwargs.get("optional") else {})}
    role = (
        kwargs.get("role")
        if kind.startswith("Chat")
        else next((r for start, r in _ROLES.items() if kind.startswith(start)), None)
    )
    if role is None:
        raise InvalidTemplate(
            f"a message of prompt {name!r} is a {kind or 'thing without a class'}, which has no counterpart here"
        )
    if not kind.endswith("Template"):  # a message without variables
        content = kwargs.get("content", "")
        return {"role": role, "content": to_source([(content, None)]) if isinstance(content, str) else content}
    prompt = kwargs["prompt"]
    return {"role": role, "content": [_part(part, name) for part in prompt] if isinstance(prompt, list) else _text(prompt, name)}


def _part(part: Any, name: str) -> dict[str, Any]:
    if _class(part) == "ImagePromptTemplate":
        url = part["kwargs"]["template"]["url"]
        return {"type": "image_url", "image_url": {"url": _convert(url, _format(part), name)}}
    return {"type": "text", "text": _text(part, name)}


def _text(prompt: Any, name: str) -> str:
    return _convert(prompt["kwargs"]["template"], _format(prompt), name)


def _convert(text: str, template_format: str, name: str) -> str:
    where = f"prompt {name!r}"
    if template_format == "jinja2":
        return text
    return from_mustache(text, where) if template_format == "mustache" else from_single_brace(text, where)


def _formats(message: Any) -> list[str]:
    prompt = ((message or {}).get("kwargs") or {}).get("prompt")
    return [_format(part) for part in (prompt if isinstance(prompt, list) else [prompt]) if isinstance(part, Mapping)]


def _format(prompt: Mapping[str, Any]) -> str:
    return str(prompt["kwargs"].get("template_format") or "f-string")


def _class(value: Any) -> str:
    path = value.get("id") if isinstance(value, Mapping) and value.get("type") == "constructor" else None
    return str(path[-1]) if isinstance(path, list) and path else ""
