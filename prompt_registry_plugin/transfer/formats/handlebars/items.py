"""What a Handlebars template of dotprompt consists of, once it is translated."""

from __future__ import annotations

from dataclasses import dataclass

from prompt_registry_plugin.transfer.formats.handlebars.values import Value
from prompt_registry_plugin.transfer.formats.pieces import Variable


@dataclass(frozen=True, slots=True)
class Role:
    """The beginning of a message."""

    name: str


@dataclass(frozen=True, slots=True)
class History:
    """The place of the messages that the caller gives."""


@dataclass(frozen=True, slots=True)
class Media:
    """An image, sound or video."""

    url: Value | str
    content_type: Value | str | None


@dataclass(frozen=True, slots=True)
class Code:
    """Jinja source."""

    source: str
    may_be_blank: bool = True
    """Whether it may write nothing."""


Item = str | Variable | Code | Role | History | Media
"""A literal text, a plain variable, Jinja, or a mark."""
