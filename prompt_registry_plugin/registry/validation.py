"""New versions, checked before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidName, InvalidTemplate
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.protocols import NewVersion, PromptTable
from prompt_registry_plugin.templates import compile_template


def check_draft(draft: NewVersion, template: Any) -> None:
    """Raise `InvalidName`, `InvalidTemplate` or `InvalidURI` for a draft that cannot be registered.

    `template` is what is compiled: the draft's own, with its includes expanded.
    """
    name = draft.name
    uri.check_name(name)
    compiled = compile_template(template, f"prompt {name!r}", draft.template_format)
    for what in ("response_format", "model_config", "tools", "template", "variables"):
        try:
            canonical_json(getattr(draft, what))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidTemplate(f"{what} of prompt {name!r} must be JSON data: {error}") from error
    for what, kind in (("response_format", Mapping), ("model_config", Mapping), ("tools", Sequence)):
        value = getattr(draft, what)
        if value is not None and (not isinstance(value, kind) or isinstance(value, str)):
            said = "a mapping" if kind is Mapping else "a list"
            raise InvalidTemplate(f"{what} of prompt {name!r} is {said}, not {type(value).__name__}")
    if draft.variables:
        from prompt_registry_plugin.templates.schemas import check_schemas

        optional = {m.placeholder for m in getattr(compiled, "messages", ()) if m.placeholder}
        check_schemas(draft.variables, compiled.variables | optional, f"prompt {name!r}")
    check_text(draft.commit_message, f"the commit message of prompt {name!r}")
    if not isinstance(draft.tags, Mapping):
        raise InvalidName(f"tags of prompt {name!r} are a mapping, not {type(draft.tags).__name__}")
    for key, value in draft.tags.items():
        check_tag(name, key, value)


def check_folder(prompts: PromptTable, name: str) -> None:
    """Raise `InvalidName` if `prompts:/name` already means an alias of another prompt."""
    folder, slash, last = name.rpartition("/")
    if slash and prompts.get(uri.PromptURI(folder, alias=last)):
        raise InvalidName(f"prompts:/{name} already means alias {last!r} of prompt {folder!r}; choose another name")


def check_tag(name: str, key: object, value: object) -> str:
    """Return `value`, if a tag may have it; raise `InvalidName` otherwise."""
    if not isinstance(key, str) or not key:
        raise InvalidName(f"a tag key of prompt {name!r} is a non-empty string, not {key!r}")
    if not isinstance(value, str):
        raise InvalidName(f"tag {key!r} of prompt {name!r} is a string, not {type(value).__name__} {value!r}")
    for text in (key, value):
        check_text(text, f"tag {key!r} of prompt {name!r}")
    return value


def check_text(text: object, what: str) -> None:
    """Raise `InvalidName` unless `text` is None or a string that every database can hold."""
    if text is None:
        return
    if not isinstance(text, str):
        raise InvalidName(f"{what} is a text, not {type(text).__name__}")
    if "\0" in text or text != text.encode("utf-8", "replace").decode():
        raise InvalidName(f"{what} is not valid Unicode, or holds a NUL character, and cannot be stored")


def check_reason(reason: str | None) -> str | None:
    """Return `reason`, if it can be stored; raise `InvalidName` otherwise."""
    check_text(reason, "a reason")
    return reason
