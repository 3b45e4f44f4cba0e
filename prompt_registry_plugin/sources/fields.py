"""The fields of a constant that is filled in later: `{x}`, `%(x)s`, `$x`, `{{ x }}`.

Each function splits a text at its fields, or returns None if it cannot be read that way.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prompt_registry_plugin.sources.texts import Hole, Kind, Part, Text, transform
from prompt_registry_plugin.sources.variables import clean_name, key_of, name_of

_ROOT = re.compile(r"\w*")
_FIELD_PATH = re.compile(r"\w*(?:\.\w+|\[[^\[\]{}]+\])*")
_PERCENT = re.compile(r"%(?:\((?P<name>[^()]*)\))?[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*))?[hlL]?(?P<type>[diouxXeEfFgGcrsa%])")
_SINGLE = re.compile(r"(?<!\{)\{([A-Za-z_]\w*)\}(?!\})")
_DOUBLE = re.compile(r"\{\{-?\s*([A-Za-z_]\w*(?:\.\w+|\[[^\[\]{}]+\])*)\s*(?:\|[^{}]*)?-?\}\}")
_STATEMENTS = re.compile(r"\{[%#]")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call fills in, as far as the source tells: expressions by position and by name."""

    positional: Sequence[ast.expr] = ()
    named: Mapping[str, ast.expr] = field(default_factory=dict)

    @classmethod
    def of(cls, call: ast.Call) -> Arguments:
        """Return the arguments of a call."""
        named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
        positional = []
        for argument in call.args:
            if isinstance(argument, ast.Starred):
                break
            positional.append(argument)
        return cls(positional, named)

    def hole(self, root: str, rest: str = "", form: str = "") -> Hole:
        """Return the hole of a field: `root` is a name or a position, `rest` a path below it, `form` how the value is formatted."""
        node = self.named.get(root) if not root.isdigit() else None
        if root.isdigit() and int(root) < len(self.positional):
            node = self.positional[int(root)]
        path = root + rest
        if node is None:
            name = clean_name(path) if not root.isdigit() else clean_name(f"value_{int(root) + 1}{rest}")
            return Hole(("field", path, form), name, expression=path)
        expression = ast.unparse(node) + rest
        if root.isdigit():
            return Hole((key_of(node), rest, form), clean_name(name_of(node) + rest), expression=expression)
        return Hole(("field", path, form), clean_name(path), expression=expression)


NOTHING = Arguments()


def format_fields(source: str, arguments: Arguments = NOTHING) -> list[Part] | None:
    """Split at the fields of `str.format`; `{{` and `}}` are braces."""
    parts: list[Part] = []
    automatic = 0
    try:
        for literal, name, spec, conversion in string.Formatter().parse(source):
            parts.append(literal)
            if name is None:
                continue
            if not _FIELD_PATH.fullmatch(name):
                return None
            root = _ROOT.match(name)[0]  # type: ignore[index]  # matches nothing as well
            rest = name[len(root) :]
            if not root:
                root, automatic = str(automatic), automatic + 1
            parts.append(arguments.hole(root, rest, f"{conversion or ''}:{spec}"))
    except ValueError:
        return None
    return parts


def percent_fields(source: str, right: ast.expr | None = None) -> list[Part] | None:
    """Split at the fields of the operator `%`, whose right side may be known."""
    positional: Sequence[ast.expr] = ()
    named: dict[str, ast.expr] = {}
    if isinstance(right, ast.Tuple):
        positional = right.elts
    elif isinstance(right, ast.Dict):
        named = {
            key.value: value
            for key, value in zip(right.keys, right.values, strict=True)
            if isinstance(key, ast.Constant) and isinstance(key.value, str)
        }
    elif right is not None:
        positional = [right]
    arguments = Arguments(positional, named)
    parts: list[Part] = []
    at = count = 0
    for found in _PERCENT.finditer(source):
        parts.append(source[at : found.start()])
        at = found.end()
        if found["type"] == "%":
            parts.append("%")
        elif found["name"] is not None:
            parts.append(arguments.hole(found["name"], form=found[0]))
        else:
            parts.append(arguments.hole(str(count), form=found[0]))
            count += 1
    rest = source[at:]
    if any("%" in part for part in [*parts, rest] if isinstance(part, str) and part != "%"):
        return None
    return [*parts, rest]


def dollar_fields(source: str, arguments: Arguments = NOTHING) -> list[Part]:
    """Split at the fields of `string.Template`; what it cannot read stays, as with `safe_substitute`."""
    parts: list[Part] = []
    at = 0
    for found in string.Template.pattern.finditer(source):
        name = found["named"] or found["braced"]
        if found["escaped"] is None and name is None:
            continue
        parts += [source[at : found.start()], arguments.hole(name) if name else "$"]
        at = found.end()
    return [*parts, source[at:]]


def single_brace_fields(source: str) -> list[Part]:
    """Split at each `{name}`, and leave every other brace as it is: what a chain of `.replace("{name}", …)` fills in."""
    return _split(source, _SINGLE)


def jinja_fields(source: str) -> list[Part] | None:
    """Split at each `{{ name }}`; None if the text has statements or comments of Jinja."""
    return None if _STATEMENTS.search(source) else _split(source, _DOUBLE)


def _split(source: str, pattern: re.Pattern[str]) -> list[Part]:
    parts: list[Part] = []
    at = 0
    for found in pattern.finditer(source):
        parts += [source[at : found.start()], NOTHING.hole(found[1])]
        at = found.end()
    return [*parts, source[at:]]


def readings(text: Text) -> Iterator[Text]:
    """Return the text as it is, and as each kind of template that it may be: how a constant is filled in, its use decides."""
    yield text
    known = len(text.holes)
    seen = {text.parts}
    for kind, sign, split in _READINGS:
        if not any(sign in literal for literal in text.literals):
            continue
        reading = transform(text, split, kind)
        if reading is not None and len(reading.holes) > known and reading.parts not in seen:
            seen.add(reading.parts)
            yield reading


def _jinja_without_last_newline(source: str) -> list[Part] | None:
    return jinja_fields(source[:-1]) if source.endswith("\n") else None  # Jinja removes it, unless `keep_trailing_newline` is set


_READINGS: tuple[tuple[Kind, str, Callable[[str], list[Part] | None]], ...] = (
    ("format", "{", format_fields),
    ("replace", "{", single_brace_fields),
    ("jinja", "{{", jinja_fields),
    ("jinja", "{{", _jinja_without_last_newline),
    ("percent", "%", percent_fields),
    ("template", "$", dollar_fields),
)
