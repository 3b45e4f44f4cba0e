"""Masking of secrets, and the JSON copy of the objects that an agent passes around."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from prompt_registry_plugin.frozen import FrozenDict, FrozenList
from prompt_registry_plugin.moved import forward_old_names

_SENSITIVE_NAME = (
    r"(?:(?:api|access|private)[_-]?key|passw(?:or)?d|passphrase|\bpwd\b|set-cookie|secret|credential"
    r"|(?:access|auth|refresh|bearer)[_-]?token|\btoken\b)"
)
_SENSITIVE_KEY = re.compile(_SENSITIVE_NAME, re.I)
# Every repetition is bounded and starts at the start of a word, so that masking takes linear time on any text.
_SECRETS = (
    # name = value, quoted (also inside JSON that is itself a text, with its quotes escaped) or not
    re.compile(
        r"(?i)((?<![\w-])[\w-]{0,64}?" + _SENSITIVE_NAME + r"[\w-]{0,64}\\?[\"']?\s{0,8}[:=]\s{0,8})"
        r"(?:(\\?[\"']).{0,4000}?\2|[^\s\"',;&}]{4,})"
    ),
    re.compile(r"(?i)(\b(?:bearer|basic)\s{1,8})[\w.~+/=-]{8,}"),
    re.compile(r"((?<!\w)\w{1,20}://[^\s:/@]{0,200}:)[^\s@/]{1,500}(?=@)"),
    re.compile(
        r"()\b(?:eyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{5,1000}|hf_\w{20,}|glpat-[\w-]{16,}|ASIA[0-9A-Z]{16}|(?:sk|pk|rk)[-_][\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})"
    ),
)
# Every secret contains one of these (in lower case). Most texts contain none, so that the patterns are not tried on them.
_SUSPECT = (
    "key passw pwd passphrase cookie secret credential token bearer basic :// sk- sk_ pk- pk_ rk- rk_ ghp_ gho_ ghu_ ghs_ ghr_ "
    "github_pat xox akia asia aiza eyj hf_ glpat-"
).split()
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?=[\w-]{1,63}\.)[\w.-]{1,253}\w")
_MAX_DEPTH = 40  # containers in containers; deeper ones become "…", far from the recursion limit
_UNCHANGING = frozenset({type(None), bool, int, str, FrozenDict, FrozenList})  # immutable JSON data needs no copy


def mask_secrets(text: str) -> str:
    """Return `text` with API keys, bearer tokens, passwords in URLs and `password=…` values replaced by `***`."""
    small = text.lower()
    for word in _SUSPECT:
        if word in small:
            break
    else:
        return text
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: f"{match[1]}***", text)
    return text


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
                masked = _EMAIL.sub("***", masked)
            self._seen[text] = masked
        return masked

    def data(self, value: Any) -> Any:
        """Return JSON data with secrets masked in all texts and keys. Values under a key such as `password` are masked whole."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            masked = {}
            for key, item in value.items():
                shown, is_secret = _mask_key(key)
                masked[self.text(shown) if self._emails else shown] = (
                    "***" if is_secret and item is not None and not isinstance(item, bool) else self.data(item)
                )
            return masked
        if isinstance(value, list):
            return [self.data(item) for item in value]
        return value


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
    if isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): json_copy(item, inside) for key, item in list(value.items())}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_copy(item, inside) for item in list(value)]
    content = getattr(value, "content", None)
    if isinstance(content, str | list):
        return {"role": str(getattr(value, "type", "message")), "content": json_copy(content, inside)}
    return repr(value)


@lru_cache(maxsize=4096)
def _mask_key(key: str) -> tuple[str, bool]:
    """Return a key with its secrets masked, and whether the value under it is a secret."""
    return clean(key), _SENSITIVE_KEY.search(key) is not None


def holds_secrets(reference: str) -> bool:
    """Return whether masking would change such a text, or the JSON data that starts at its first brace."""
    _, brace, rest = reference.partition("{")
    try:
        data = json.loads(brace + rest)
    except ValueError:
        data = None
    return clean(reference) != reference or Masker().data(data) != data


forward_old_names(__name__)
