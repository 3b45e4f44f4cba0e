"""What may be stored of what an agent passes around: JSON data, without secrets."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from prompt_registry_plugin.frozen import FrozenDict, FrozenList

_SENSITIVE_NAME = (
    r"(?:(?:api|access|private)[_-]?key|passw(?:or)?d|passphrase|\bpwd\b|set-cookie|secret|credential"
    r"|(?:access|auth|refresh|bearer)[_-]?token|\btoken\b)"
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
        r"()\b(?:eyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{5,1000}|hf_\w{20,}|glpat-[\w-]{16,}|ASIA[0-9A-Z]{16}|(?:sk|pk|rk)[-_][\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,})"
    ),
)
# What every secret has one of, in small letters; most texts have none, and are done after one look.
_SUSPECT = (
    "key passw pwd passphrase cookie secret credential token bearer basic :// sk- sk_ pk- pk_ rk- rk_ ghp_ gho_ ghu_ ghs_ ghr_ "
    "github_pat xox akia asia aiza eyj hf_ glpat-"
).split()
_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?=[\w-]{1,63}\.)[\w.-]{1,253}\w")
_MAX_DEPTH = 40
_UNCHANGING = frozenset({type(None), bool, int, str, FrozenDict, FrozenList})  # JSON data that nobody can change


def mask_secrets(text: str) -> str:
    """`text` with API keys, bearer tokens, passwords in URLs and `password=…` values replaced by `***`."""
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
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return mask_secrets(text.replace("\0", "�"))


class Masker:
    """Takes secrets out of JSON data; e-mail addresses too where `PROMPT_REGISTRY_MASK_EMAILS` is `true`."""

    def __init__(self) -> None:
        self._emails = os.environ.get("PROMPT_REGISTRY_MASK_EMAILS", "").lower() in ("1", "true")
        self._seen: dict[str, str] = {}  # a rendered text stands in a trace many times

    def text(self, text: str) -> str:
        """The text without them."""
        masked = self._seen.get(text)
        if masked is None:
            masked = clean(text)
            if self._emails and "@" in masked:
                masked = _EMAIL.sub("***", masked)
            self._seen[text] = masked
        return masked

    def data(self, value: Any) -> Any:
        """The same for all texts in JSON data, its keys too; values under a key such as `password` are masked whole."""
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
    """`value` as JSON data of its own, which stays as it is whatever an agent does next; what JSON cannot hold becomes its text.

    `inside` are the containers that it stands in, so that a circle comes to an end. Never raises.
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
    except Exception:  # noqa: BLE001  a user's object may raise anything when it is looked at
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
    """A key as it may be stored, and whether a secret stands under it."""
    return clean(key), _SENSITIVE_KEY.search(key) is not None


def holds_secrets(reference: str) -> bool:
    """Whether masking would change such a text, or the JSON data behind its first brace."""
    _, brace, rest = reference.partition("{")
    try:
        data = json.loads(brace + rest)
    except ValueError:
        data = None
    return clean(reference) != reference or Masker().data(data) != data
