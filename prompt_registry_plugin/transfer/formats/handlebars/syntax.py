"""The tree of a Handlebars template."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Strip:
    """Whether a tag removes the white space before it (`{{~`) and after it (`~}}`)."""

    before: bool = False
    after: bool = False


@dataclass(slots=True)
class Path:
    """A name such as `user.name`, `../name`, `this` or `@index`."""

    parts: list[str]
    depth: int = 0
    """How many `../` stand before it."""
    is_data: bool = False
    """Whether it begins with `@`."""
    is_scoped: bool = False
    """Whether it begins with `this`, `.` or `..`, so that it never names a helper."""
    original: str = ""
    """As it is written."""


@dataclass(slots=True)
class Literal:
    """A string, number, true, false, null or undefined."""

    value: Any
    original: str
    is_undefined: bool = False


@dataclass(slots=True)
class Call:
    """A helper with arguments, or a lone name."""

    path: Path
    args: list[Path | Literal | Call] = field(default_factory=list)
    named: dict[str, Path | Literal | Call] = field(default_factory=dict)


Argument = Path | Literal | Call


@dataclass(slots=True)
class Content:
    """Literal text. `original` is what stands in the source; `text` is what is left of it beside tags on lines of their own."""

    original: str
    text: str
    is_cut_left: bool = False
    is_cut_right: bool = False


@dataclass(slots=True)
class Mustache:
    """A tag that writes a value."""

    call: Call
    strip: Strip
    line: int


@dataclass(slots=True)
class Comment:
    """A tag that writes nothing."""

    strip: Strip
    line: int


@dataclass(slots=True)
class Program:
    """A list of nodes: the template, or one branch of a block."""

    body: list[Node] = field(default_factory=list)
    params: list[str] = field(default_factory=list)
    """Names that the block gives to its values: `as |item index|`."""
    is_chained: bool = False
    """Whether this is the rest of an `{{else if …}}`."""


@dataclass(slots=True)
class Block:
    """`{{#call}}…{{else}}…{{/call}}`; without a `program` it is `{{^call}}…{{/call}}`."""

    call: Call
    program: Program | None
    inverse: Program | None
    open_strip: Strip
    inverse_strip: Strip
    close_strip: Strip
    line: int
    is_partial: bool = False
    """Whether it is `{{#> name}}…{{/name}}`, a partial with a text for the case that there is none of that name."""


@dataclass(slots=True)
class Partial:
    """`{{> name context key=value}}`."""

    call: Call
    strip: Strip
    line: int
    indent: str = ""
    """The white space before it, if it stands on a line of its own. Handlebars indents all its lines by that."""


Node = Content | Mustache | Comment | Block | Partial
