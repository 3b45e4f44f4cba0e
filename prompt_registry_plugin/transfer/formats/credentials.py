"""Settings of other tools without keys, tokens and passwords, which do not belong into a registry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CREDENTIAL = re.compile(
    r"(?:api|access|secret|private|account|auth)[-_]?key|(?<!max)(?<!max_)(?:^|_|access|auth|bearer|api|id|refresh)token$|"
    r"password|passwd|client[-_]?secret|credential|^authorization$|^cookie$|connection[-_]?string",
    re.I,
)


def without_credentials(value: Any, where: str) -> tuple[Any, list[str]]:
    """Return settings without values that are credentials by their name, and what was left out, with why.

    References to the environment, `${env:NAME}`, mean nothing elsewhere and are left out as well, without being named.
    """
    dropped: list[str] = []
    return _clean(value, where, dropped), dropped


def _clean(value: Any, where: str, dropped: list[str]) -> Any:
    if isinstance(value, Mapping):
        kept = {}
        for key, item in value.items():
            if isinstance(item, str) and item.startswith("${"):
                continue
            if isinstance(item, str) and item and _CREDENTIAL.search(str(key)):
                dropped.append(f"{where}.{key}: a credential")
                continue
            kept[str(key)] = _clean(item, f"{where}.{key}", dropped)
        return kept
    if isinstance(value, list):
        return [_clean(item, where, dropped) for item in value]
    return value
