"""Names of other tools as names that the registry allows."""

from __future__ import annotations

import re
from collections.abc import Iterable

RESERVED = frozenset(
    "and or not is in if else true false none True False None loop self super caller varargs kwargs "
    "range dict lipsum cycler joiner namespace".split()
)
"""Words that Jinja reads as something else than a variable."""


def name_from(text: object, fallback: str) -> str:
    """Return a name that the registry allows, as near to `text` as possible."""
    parts = [re.sub(r"[^A-Za-z0-9_.\-]+", "-", part).strip("-.") for part in str(text or "").split("/")]
    return "/".join(part for part in parts if part)[:256] or fallback


def renamed(original: object, name: str) -> str:
    """Return `original` if the registry calls the prompt otherwise, else an empty string."""
    return str(original) if original and str(original) != name else ""


def alias_from(text: object) -> str:
    """Return an alias that the registry allows, as near to `text` as possible."""
    alias = re.sub(r"[^A-Za-z0-9_.\-]+", "-", str(text)).strip("-.") or "label"
    return f"label-{alias}" if not re.match(r"[A-Za-z_]", alias) or re.fullmatch(r"v?\d+|latest", alias, re.I) else alias


def aliases_from(labels: Iterable[tuple[str, int]]) -> tuple[dict[str, int], list[str], list[str]]:
    """Return aliases for labels with their version numbers, the changes of names, and the labels that cannot be kept, with why.

    A label whose alias another label has under its own name is left out, and so are labels that would become one alias.
    """
    pairs = dict(labels)
    wanted: dict[str, list[str]] = {}
    for label in pairs:
        wanted.setdefault(alias_from(label), []).append(label)
    aliases, notes, left_out = {}, [], []
    for alias, found in wanted.items():
        kept = alias if alias in found else found[0] if len(found) == 1 else None
        if kept is not None:
            aliases[alias] = pairs[kept]
            notes += [f"label {kept!r} is the alias {alias!r} here"] if kept != alias else []
        left_out += [f"label {label!r}: several labels would be the alias {alias!r}" for label in found if label != kept]
    return aliases, notes, left_out


def variable_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return a name that Jinja allows for each of `names`, no two the same and none of `taken`: `user_name` for `user name`."""
    result: dict[str, str] = {}
    used = {*RESERVED, *taken}
    for name in sorted(set(names), key=lambda name: (not name.isidentifier(), name)):
        words = "".join(char if f"_{char}".isidentifier() else " " for char in name).split()
        base = name if name.isidentifier() else "_".join(words) or "value"
        base = base if base.isidentifier() else f"value_{base}"
        chosen, i = base, 2
        while chosen in used:
            chosen, i = f"{base}_{i}", i + 1
        used.add(chosen)
        result[name] = chosen
    return result
