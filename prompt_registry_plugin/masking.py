"""What may be stored of what an agent passes around: JSON data, without secrets."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_SENSITIVE_NAME = (
    r"(?:(?:api|access|private)[_-]?key|passw(?:or)?d|secret|credential|(?:access|auth|refresh|bearer)[_-]?token|\btoken\b)"
)
_SENSITIVE_KEY = re.compile(_SENSITIVE_NAME, re.I)
_SECRETS = (
    # name = value, quoted (also inside JSON that is itself a text, with its quotes escaped) or not
    re.compile(r"(?i)([\w-]*" + _SENSITIVE_NAME + r"[\w-]*\\?[\"']?\s*[:=]\s*)(?:(\\?[\"']).*?\2|[^\s\"',;&}]{4,})"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
    re.compile(r"(\w+://[^\s:/@]+:)[^\s@/]+(?=@)"),
    re.compile(
        r"()\b(?:(?:sk|pk|rk)[-_][\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})"
    ),
)
_MAX_DEPTH = 40


def mask_secrets(text: str) -> str:
    """`text` with API keys, bearer tokens, passwords in URLs and `password=…` values replaced by `***`."""
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: f"{match[1]}***", text)
    return text


def clean(text: str) -> str:
    """`text` as it may be stored: secrets masked, and what not every database takes replaced: half surrogate pairs and NUL."""
    return mask_secrets(text.encode("utf-8", "replace").decode().replace("\0", "�"))


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as JSON data that may be stored; what JSON cannot hold becomes its text."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth > _MAX_DEPTH:  # a circle, or as good as one
        return "…"
    if isinstance(value, Mapping):
        return {
            clean(str(key)): "***" if _SENSITIVE_KEY.search(str(key)) and isinstance(item, str | int) else plain(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    content = getattr(value, "content", None)
    if isinstance(content, str | list):
        return {"role": str(getattr(value, "type", "message")), "content": plain(content, depth + 1)}
    try:
        return clean(repr(value))
    except Exception:  # noqa: BLE001  a user's __repr__ may raise anything
        return f"<{type(value).__name__}>"
