"""Masking of secrets, and the JSON copy of the objects that an agent passes around."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from prompt_registry_plugin.frozen import FrozenDict, FrozenList
from prompt_registry_plugin.masking.forms import FORMS, MARK, is_credential_name, is_doubtful_name
from prompt_registry_plugin.masking.values import is_opaque, is_placeholder
from prompt_registry_plugin.moved import forward_old_names

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?=[\w-]{1,63}\.)[\w.-]{1,253}\w")
_MAX_DEPTH = 40  # containers in containers; deeper ones become "…", far from the recursion limit
_UNCHANGING = frozenset({type(None), bool, int, str, FrozenDict, FrozenList})  # immutable JSON data needs no copy


def mask_secrets(text: str) -> str:
    """Return `text` with its credentials replaced by `MARK`. Ordinary text is returned unchanged; masking twice changes nothing more."""
    while (masked := _mask_once(text)) != text:  # what is masked may uncover another form beside it
        text = masked
    return text


def _mask_once(text: str) -> str:
    small = text.lower()
    for form in FORMS:
        for hint in form.hints:
            if hint in small:
                text = form.mask(text)
                break
    return text


def has_mask(value: Any) -> bool:
    """Return whether a credential was masked in a text, or in a text or key of JSON data."""
    if isinstance(value, str):
        return MARK in value
    if isinstance(value, Mapping):
        return any(has_mask(key) or has_mask(item) for key, item in value.items())
    return isinstance(value, list | tuple) and any(has_mask(item) for item in value)


def mask_url(url: str) -> str:
    """Return a registry URL that is safe to show: the text between the user and the last `@` is hidden, and passwords in its query."""
    scheme, found, rest = url.partition("://")
    if not found:
        return mask_secrets(url)
    login, at, place = rest.rpartition("@")
    if ":" in login:
        login = f"{login.partition(':')[0]}:***"
    shown = f"{scheme}://{login}{at}{place}"
    return re.sub(r"(?i)([?&][^=&]*(?:passw|pwd|secret|token|key)[^=&]*=)[^&]*", r"\1***", shown)


def clean(text: str) -> str:
    """Return `text` as every database can store it: secrets masked, half surrogate pairs and NUL replaced."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return mask_secrets(text.replace("\0", "�"))


class Masker:
    """Masks secrets in JSON data. Masks e-mail addresses too if `PROMPT_REGISTRY_MASK_EMAILS` is `true`."""

    def __init__(self) -> None:
        self._emails = os.environ.get("PROMPT_REGISTRY_MASK_EMAILS", "").lower() in ("1", "true")
        self._seen: dict[str, str] = {}  # masked text by text: a trace contains a rendered text many times

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
        masked = self._seen.get(text)
        if masked is None:
            masked = clean(text)
            if self._emails and "@" in masked:
                masked = _EMAIL.sub(MARK, masked)
            self._seen[text] = masked
        return masked

    def data(self, value: Any) -> Any:
        """Return JSON data with secrets masked in all texts and keys, and all values under a key such as `password`.

        Under a key such as `token`, which is an ordinary word as well, values are masked that look like credentials.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            masked = {}
            for key, item in value.items():
                shown, kind = _mask_key(key)
                is_secret = kind != "" and not _is_schema(item)
                masked[self.text(shown) if self._emails else shown] = self._secret(item, kind) if is_secret else self.data(item)
            return masked
        if isinstance(value, list):
            return [self.data(item) for item in value]
        return value

    def _secret(self, value: Any, kind: str) -> Any:
        """Return what stands under the key of a credential, with its texts and numbers masked."""
        if isinstance(value, dict):
            return {_mask_key(key)[0]: self._secret(item, kind) for key, item in value.items()}
        if isinstance(value, list):
            return [self._secret(item, kind) for item in value]
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str) and is_placeholder(value):
            return self.text(value)
        return MARK if kind == "credential" or is_opaque(str(value)) else self.data(value)


def _is_schema(value: Any) -> bool:
    """Return whether it is a JSON Schema, as the parameter `password` of a tool has."""
    return isinstance(value, Mapping) and (
        value.get("type") in ("string", "number", "integer", "boolean", "object", "array", "null")
        or "$ref" in value
        or "anyOf" in value
    )


def json_copy(value: Any, inside: frozenset[int] = frozenset()) -> Any:
    """Return a copy of `value` as JSON data, which does not change when the agent changes its objects. Other objects become text.

    `inside` holds the ids of the containers around it, so that a circle ends. Never raises.
    """
    kind = type(value)
    if kind in _UNCHANGING:
        return value
    if id(value) in inside or len(inside) > _MAX_DEPTH:
        return "…"
    try:
        if kind is dict:
            inside |= {id(value)}
            return {
                key if type(key) is str else str(key): item if type(item) in _UNCHANGING else json_copy(item, inside)
                for key, item in list(value.items())
            }
        if kind is list or kind is tuple:
            inside |= {id(value)}
            return [item if type(item) in _UNCHANGING else json_copy(item, inside) for item in list(value)]
        return _copy_object(value, inside | {id(value)})
    except Exception:  # noqa: BLE001  a user's object may raise anything from any method
        return f"<{kind.__name__}>"


def _copy_object(value: Any, inside: frozenset[int]) -> Any:
    if isinstance(value, Enum):
        return json_copy(value.value, inside)
    if isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): json_copy(item, inside) for key, item in list(value.items())}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_copy(item, inside) for item in list(value)]
    content = getattr(value, "content", None)
    if isinstance(content, str | list) and (hasattr(value, "type") or hasattr(value, "role")):
        return {"role": str(getattr(value, "type", "message")), "content": json_copy(content, inside)}
    from prompt_registry_plugin.plain.recorded import recorded_form  # only now: most of what is recorded is JSON data

    found = recorded_form(value)
    return repr(value) if found is None else json_copy(found[0], inside)


@lru_cache(maxsize=4096)
def _mask_key(key: str) -> tuple[str, str]:
    """Return a key with its secrets masked, and what stands under it: a `credential`, `perhaps` one, or neither."""
    return clean(key), "credential" if is_credential_name(key) else "perhaps" if is_doubtful_name(key) else ""


def holds_secrets(reference: str) -> bool:
    """Return whether masking would change such a text, or the JSON data that starts at its first brace."""
    _, brace, rest = reference.partition("{")
    try:
        data = json.loads(brace + rest)
    except ValueError:
        data = None
    return clean(reference) != reference or Masker().data(data) != data


forward_old_names(__name__)
