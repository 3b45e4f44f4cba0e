"""Prompty: YAML front matter, then a chat in which lines such as `system:` begin a message; Jinja or mustache."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, NewVersion
from prompt_registry_plugin.transfer.formats.reading import (
    from_braces,
    front_matter,
    name_from,
    needs_jinja,
    read_text,
    with_texts,
)

_ROLE = re.compile(r"^[ \t]*#?[ \t]*(system|user|assistant|developer|function|tool)[ \t]*:[ \t]*$\n?", re.M | re.I)


def read(source: str) -> Iterable[ImportedPrompt]:
    """The prompt of one file, or of every `.prompty` file in a folder."""
    path = Path(source)
    files = sorted(path.rglob("*.prompty")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"there is no .prompty file in {path}")
    for file in files:
        yield _prompt(file)


def _prompt(path: Path) -> ImportedPrompt:
    head, body = front_matter(read_text(path), path)
    name = name_from(head.get("name"), name_from(path.stem, "prompt"))
    parts = _ROLE.split(body)
    template: Any = body.strip("\n")
    if len(parts) > 1:
        template = [
            {"role": role.lower(), "content": text.strip("\n")} for role, text in zip(parts[1::2], parts[2::2], strict=True)
        ]
    if not str(template).strip():
        raise UserError(f"{path} has no text below its front matter")
    jinja = needs_jinja(template if isinstance(template, str) else [message["content"] for message in template])
    model = head.get("model") if isinstance(head.get("model"), Mapping) else {}
    assert isinstance(model, Mapping)
    config = {**_plain(model.get("configuration")), **_plain(model.get("parameters")), **_plain(model.get("options"))}
    version = NewVersion(
        name,
        template if jinja else with_texts(template, from_braces),
        commit_message=head.get("description") or None,
        tags={str(tag): "true" for tag in head.get("tags") or []},
        template_format="jinja2" if jinja else "double_brace",
        model_config={key: value for key, value in config.items() if key not in ("type", "api_key", "response_format")} or None,
        response_format=config["response_format"] if isinstance(config.get("response_format"), Mapping) else None,
        created_by=", ".join(map(str, head.get("authors") or [])) or "prompty",
    )
    return ImportedPrompt(name, [version], {}, {})


def _plain(value: Any) -> dict[str, Any]:
    """Settings without those that name an environment variable: `${env:…}` means something on one machine only."""
    settings = value if isinstance(value, Mapping) else {}
    return {str(key): item for key, item in settings.items() if not (isinstance(item, str) and item.startswith("${"))}
