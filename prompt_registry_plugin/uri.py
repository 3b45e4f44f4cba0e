"""Prompt names and URIs.

    prompts:/support/3            version 3
    prompts:/support@production   the version that the alias points at
    prompts:/support/production   the same: a last part that is not a number
    prompts:/support@latest       the newest version
    prompts:/support              the newest version

Names may hold folders (`banking/route`) and dots (`main.default.support`). What follows the last slash of a URI is
therefore ambiguous: a number is always a version, and for a word the registry asks the store (see `PromptURI.readings`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from prompt_registry_plugin.errors import InvalidName, InvalidURI
from prompt_registry_plugin.moved import forward_old_names

SCHEME = "prompts:/"
LATEST = "latest"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_VERSION_LIKE = re.compile(r"v?\d+")
_MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class PromptURI:
    """A parsed reference to a version; without `version` and `alias`, to the newest one."""

    name: str
    """Name of the prompt, folders included."""
    version: int | None = None
    """Number of the version."""
    alias: str | None = None
    """Alias of the version; never given together with `version`."""

    def readings(self) -> Iterator[PromptURI]:
        """Yield the ways to read this reference, likeliest first: `a/b` is a prompt in a folder, or alias `b` of prompt `a`."""
        yield self
        if self.version is None and self.alias is None and "/" in self.name:
            name, _, alias = self.name.rpartition("/")
            if _ALIAS.fullmatch(alias):
                yield PromptURI(name, alias=alias)

    def __str__(self) -> str:
        if self.version is not None:
            return f"{SCHEME}{self.name}/{self.version}"
        return f"{SCHEME}{self.name}@{self.alias or LATEST}"


def is_prompt_uri(text: str) -> bool:
    """Return whether `text` claims to be a prompt URI."""
    return text.startswith("prompts:")


def as_uri(reference: str) -> str:
    """Return a URI for `NAME`, `NAME/3` or `NAME@alias`, as users type them on the command line."""
    return reference if is_prompt_uri(reference) else f"{SCHEME}{reference}"


def parse(name_or_uri: str, version: int | str | None = None) -> PromptURI:
    """Return the reference in a name or URI, with an optional `version`: a number, an alias or `"latest"`.

    Raises `InvalidURI` when it cannot be read, `InvalidName` when the name in it is not allowed.
    """
    if not isinstance(name_or_uri, str):
        raise InvalidURI(f"a prompt is named by a string, not by {type(name_or_uri).__name__} {name_or_uri!r}")
    if not is_prompt_uri(name_or_uri):
        try:
            return _with_version(PromptURI(check_name(name_or_uri)), version)
        except InvalidName as error:
            name, _, last = name_or_uri.rpartition("/")
            if "@" in name_or_uri or (name and last.isdigit()):
                raise InvalidURI(
                    f"{name_or_uri!r} is more than a name: write {SCHEME}{name_or_uri}, or give version=…"
                ) from error
            raise
    body = name_or_uri.removeprefix(SCHEME)
    if body == name_or_uri or body.startswith("/") or not body:
        raise InvalidURI(f"cannot read prompt URI {name_or_uri!r}: write prompts:/name, prompts:/name/3 or prompts:/name@alias")
    name, at, alias = body.partition("@")
    if at:
        found = PromptURI(_name_in(name, name_or_uri), alias=None if alias == LATEST else _alias_in(alias, name_or_uri))
    else:
        folder, slash, last = body.rpartition("/")
        if slash and last.isascii() and last.isdigit():
            found = _with_version(PromptURI(_name_in(folder, name_or_uri)), last)
        elif slash and last == LATEST:
            found = PromptURI(_name_in(folder, name_or_uri))
        else:
            found = PromptURI(_name_in(body, name_or_uri))
    if version is None:
        return found
    if at or found.version is not None:
        raise InvalidURI(f"{name_or_uri!r} already says which version; leave version={version!r} away")
    return _with_version(found, version)


def parse_include(reference: str) -> PromptURI:
    """Return the reference of an include: a URI, with or without its scheme. Raises `InvalidURI`."""
    return parse(reference if is_prompt_uri(reference) else f"{SCHEME}{reference}")


def check_name(name: object, what: str = "prompt") -> str:
    """Return `name` if it is allowed for a prompt, or for another thing called `what`. Raises `InvalidName` with the reason."""
    if not isinstance(name, str) or not name:
        raise InvalidName(f"a {what} name is a non-empty string, not {name!r}")
    if len(name) > _MAX_NAME:
        raise InvalidName(f"{what} name {name[:40]!r}… has {len(name)} characters; at most {_MAX_NAME} are allowed")
    if not _NAME.fullmatch(name):
        raise InvalidName(f"{what} name {name!r} may hold letters, digits, '_', '-', '.' and '/' between parts, nothing else")
    _, slash, last = name.rpartition("/")
    if slash and (last.isdigit() or last == LATEST):
        raise InvalidName(f"{what} name {name!r} ends in {last!r}, which a URI reads as a version; choose another last part")
    return name


def check_alias(alias: object) -> str:
    """Return `alias` if it is allowed. Raises `InvalidName` for reserved (`latest`, numbers) and malformed ones."""
    if not isinstance(alias, str) or not alias:
        raise InvalidName(f"an alias is a non-empty string, not {alias!r}")
    if alias.lower() == LATEST:
        raise InvalidName(f"alias {alias!r} is reserved: it always means the newest version")
    if _VERSION_LIKE.fullmatch(alias):
        raise InvalidName(f"alias {alias!r} is reserved: it reads as a version number")
    if not _ALIAS.fullmatch(alias):
        raise InvalidName(f"alias {alias!r} may hold letters, digits, '_', '-' and '.', and starts with a letter or '_'")
    return alias


def _name_in(name: str, uri: str) -> str:
    try:
        return check_name(name)
    except InvalidName as error:
        raise InvalidURI(f"cannot read prompt URI {uri!r}: {error}") from error


def _alias_in(alias: str, uri: str) -> str:
    try:
        return check_alias(alias)
    except InvalidName as error:
        raise InvalidURI(f"cannot read prompt URI {uri!r}: {error}") from error


def _with_version(reference: PromptURI, version: int | str | None) -> PromptURI:
    if version is None or version == LATEST:
        return reference
    if isinstance(version, bool) or not isinstance(version, int | str):
        raise InvalidURI(f"version={version!r} of prompt {reference.name!r} is neither a number nor an alias")
    if isinstance(version, str) and not (version.isascii() and version.isdigit()):
        return PromptURI(reference.name, alias=_alias_in(version, reference.name))
    if isinstance(version, str) and len(version) > 18:
        raise InvalidURI(f"version {version[:20]}… of prompt {reference.name!r} is no version number")
    number = int(version)
    if not 1 <= number < 2**63:
        raise InvalidURI(f"version {version} of prompt {reference.name!r}: versions count from 1")
    return PromptURI(reference.name, version=number)


forward_old_names(__name__)
