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
# Every repetition is bounded and begins at the start of a word: masking must stay linear in whatever text an agent passes around.
_SECRETS = (
    # name = value, quoted (also inside JSON that is itself a text, with its quotes escaped) or not
    re.compile(
        r"(?i)((?<![\w-])[\w-]{0,64}?" + _SENSITIVE_NAME + r"[\w-]{0,64}\\?[\"']?\s{0,8}[:=]\s{0,8})"
        r"(?:(\\?[\"']).{0,4000}?\2|[^\s\"',;&}]{4,})"
    ),
    re.compile(r"(?i)(\b(?:bearer|basic)\s{1,8})[\w.~+/=-]{8,}"),
    re.compile(r"((?<!\w)\w{1,20}://[^\s:/@]{0,200}:)[^\s@/]{1,500}(?=@)"),
    re.compile(
        r"()\b(?:(?:sk|pk|rk)[-_][\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})"
    ),
)
# What every secret has one of; most texts have none, and are done after one look.
_SUSPECT = re.compile(r"(?i)key|passw|secret|credential|token|bearer|basic|://|[spr]k[-_]|gh[pousr]_|github_pat|xox|akia|aiza")
_MAX_DEPTH = 40


def mask_secrets(text: str) -> str:
    """`text` with API keys, bearer tokens, passwords in URLs and `password=…` values replaced by `***`."""
    if not _SUSPECT.search(text):
        return text
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: f"{match[1]}***", text)
    return text


def mask_url(url: str) -> str:
    """A registry URL as it may be shown: whatever stands between the user and the last `@` is hidden, and so are passwords in its query."""
    scheme, found, rest = url.partition("://")
    if not found:
        return mask_secrets(url)
    login, at, place = rest.rpartition("@")
    if ":" in login:
        login = f"{login.partition(':')[0]}:***"
    shown = f"{scheme}://{login}{at}{place}"
    return re.sub(r"(?i)([?&][^=&]*(?:passw|pwd|secret|token|key)[^=&]*=)[^&]*", r"\1***", shown)


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
