"""Whether a value looks like a credential, like a placeholder for one, or like ordinary words."""

from __future__ import annotations

import base64
import binascii
import re

_PLACEHOLDER = re.compile(
    r"[{<$%\[(]|\*+|.*(?:\{\{|\$\{|\.\.\.|…)|(.)\1*\Z|(?:my|your|the|some|example|insert|replace|change|dummy|fake)[-_ ][\w -]*\Z|your\w*\Z"
    r"|x{4,}|os\.|env\.|process\.env|getenv|self\.|settings\.|config\.|args\.",
    re.I | re.S,
)
_WORDS = frozenset(
    "true false none null nil undefined required optional redacted masked hidden string str bytes text value values name names "
    "password passwd passphrase secret token tokens key keys username user login email reset forgot forgotten change changed "
    "changeme invalid expired missing wrong correct incorrect valid empty unset default test auto lambda".split()
)
_CAMEL = re.compile(r"[A-Z]?[a-z]+(?:[A-Z][a-z]+)*\d{0,2}")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{3,}", re.I)
_NUMBERED_WORD = re.compile(r"[A-Za-z]+(?:[-_.][A-Za-z]+)*[-_.]?v?\d{1,2}(?:\.\d+){0,3}[a-z]?")
_DATE_OR_NUMBER = re.compile(r"[\d.,:/+-]+[A-Za-z%]{0,2}|\d{4}-\d\d-\d\d[T ][\d:.+Z-]+")
_PREFIX = re.compile(r"(?:sk|pk|rk)[-_]\w")


def is_placeholder(value: str) -> bool:
    """Return whether a value only marks where a credential goes, such as `{{token}}`, `<your key>` or `xxxx`."""
    value = value.strip("\"'` ")
    return not value or _PLACEHOLDER.match(value) is not None or value.rstrip(".,:;!?").lower() in _WORDS


def is_opaque(value: str) -> bool:
    """Return whether a text without spaces looks random: digits among letters, mixed case, or letters that form no word."""
    value = value.strip("\"'`").rstrip(".,:;!?)")
    if len(value) < 6 or re.search(r"\s", value) or is_placeholder(value):
        return False
    name, sign, rest = value.partition("=")
    if sign and rest.strip("=") and re.fullmatch(r"[A-Za-z_]+", name):
        return is_opaque(rest)  # one assignment after another
    has_digit, has_letter = re.search(r"\d", value) is not None, re.search(r"[A-Za-z]", value) is not None
    if has_digit and has_letter:
        if _DATE_OR_NUMBER.fullmatch(value):
            return False
        return re.fullmatch(r"[A-Za-z]{5,}\d{1,4}", value) is not None or not _NUMBERED_WORD.fullmatch(value)
    if re.search(r"[a-z]", value) and re.search(r"[A-Z]", value):
        parts = re.split(r"[-_./+=:]", value)
        return len(value) >= 8 and not all(_CAMEL.fullmatch(part) or part.isupper() or not part for part in parts)
    return (
        len(value) >= 10
        and len(_CONSONANTS.findall(value)) >= 2
        and re.fullmatch(r"[A-Za-z]+(?:\.[A-Za-z]+)*(?:-[A-Za-z]+)?", value) is not None
    )


def is_secret_value(value: str) -> bool:
    """Return whether the value of a password or key may be one: anything but placeholders, other names, and code."""
    value = value.rstrip(".,:;!?")
    if is_placeholder(value) or len(value) < 6:
        return False
    words = re.split(r"[-_.]", value.lower())
    return not any(word in _WORDS for word in words) or _PREFIX.match(value) is not None


def is_basic_login(value: str) -> bool:
    """Return whether a value is what `Basic` authentication sends: `user:password` in Base64."""
    try:
        decoded = base64.b64decode(
            value + "=" * (-len(value) % 4), altchars=b"-_" if re.search(r"[-_]", value) else None, validate=True
        )
    except (binascii.Error, ValueError):
        return False
    if b":" in decoded and all(byte >= 32 for byte in decoded):
        return True
    return len(value) >= 12 and is_opaque(value) and any(char.isdigit() for char in value)
