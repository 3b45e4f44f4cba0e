"""Values of a Handlebars template as Jinja expressions, with what their schemas say, and how JavaScript would write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.jinja_source import quote
from prompt_registry_plugin.transfer.formats.names import RESERVED

_METHODS = frozenset(dir(dict)) | frozenset(dir(list)) | frozenset(dir(str))
NO_DEFAULT: Any = object()


@dataclass(frozen=True, slots=True)
class Value:
    """A Jinja expression, and what is known about its value."""

    source: str
    """The expression. It may be undefined."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the value; empty if nothing is known."""
    is_optional: bool = False
    """Whether the value may be missing, which is then an empty text and not an error."""
    default: Any = NO_DEFAULT
    """The value if none is given."""
    measured: str = ""
    """The expression whose length this is, if it is one."""

    @property
    def type(self) -> str:
        """The JSON type of the value; "" if it is not known, or may be one of several."""
        types = self.schema.get("type")
        found = [kind for kind in types if kind != "null"] if isinstance(types, list | tuple) else [types]
        if found == [None] and "enum" in self.schema:
            names = {bool: "boolean", int: "integer", float: "number", str: "string"}
            found = list({names.get(type(value), "") for value in self.schema["enum"] if value is not None})
        return str(found[0]) if len(found) == 1 and found[0] in _WRITERS else ""

    @property
    def may_be_null(self) -> bool:
        """Whether the schema allows null."""
        types = self.schema.get("type")
        return (isinstance(types, list | tuple) and "null" in types) or None in self.schema.get("enum", ())

    @property
    def expression(self) -> str:
        """The expression with its default."""
        return self.source if self.default is NO_DEFAULT else f"{self.source} | default({quote(self.default)})"

    @property
    def operand(self) -> str:
        """The expression with its default, in parentheses if it needs them; `none` for the length of a missing value."""
        if self.measured and self.is_optional:
            return f"({self.source} if {self.measured} is defined and {self.measured} is not none else none)"
        return self.source if self.default is NO_DEFAULT else f"({self.expression})"

    @property
    def needs_program(self) -> bool:
        """Whether `{{ name }}` alone would not write the value as JavaScript does."""
        plain = self.type in ("", "string", "integer")
        return not plain or self.is_optional or self.may_be_null or self.default is not NO_DEFAULT

    def attribute(self, name: str) -> Value:
        """Return the property `name` of the value."""
        if name == "length" and self.type in ("array", "string", ""):
            return Value(f"{self.operand} | length", _INTEGER, self.is_optional, measured=self.operand)
        properties = self.schema.get("properties")
        known = properties.get(name) if isinstance(properties, Mapping) else None
        more = self.schema.get("additionalProperties")
        schema = known if isinstance(known, Mapping) else more if isinstance(more, Mapping) else {}
        required = self.schema.get("required") or ()
        optional = self.is_optional or ((bool(more) or isinstance(known, Mapping)) and name not in required)
        if name.isdigit() and self.type in ("array", ""):
            return Value(f"{self.operand}[{int(name)}]", self.items, optional)
        plain = name.isidentifier() and name not in _METHODS and name not in RESERVED
        return Value(self.operand + (f".{name}" if plain else f"[{quote(name)}]"), schema, optional)

    @property
    def items(self) -> Mapping[str, Any]:
        """The schema of the values in a list."""
        items = self.schema.get("items")
        return items if isinstance(items, Mapping) else {}

    def written(self) -> str:
        """Return the expression that writes the value as JavaScript writes it. Raises `UserError` for a mapping."""
        return _WRITERS[self.type](self)

    def condition(self) -> str:
        """Return the expression that is true if Handlebars takes the value for true."""
        source = self.measured or self.operand
        return f"({source} or {source} is mapping)" if self.type == "object" else source


_INTEGER = {"type": "integer"}


def _write_string(value: Value) -> str:
    if value.default is not NO_DEFAULT:
        return f"{value.expression} or ''" if value.may_be_null else value.expression
    return f"{value.source} | default('', true)" if value.is_optional or value.may_be_null else value.source


def _write_integer(value: Value) -> str:
    if value.measured and value.is_optional:
        return f"{value.source} if {value.measured} is defined and {value.measured} is not none else ''"
    loose = value.is_optional or value.may_be_null
    return f"{value.operand} if {value.operand} is number else ''" if loose else value.expression


def _write_number(value: Value) -> str:
    operand = value.operand
    whole = f"{operand} | int if {operand} == {operand} | int else {operand}"
    return f"({whole}) if {operand} is number else ''" if value.is_optional or value.may_be_null else whole


def _write_boolean(value: Value) -> str:
    text = f"'true' if {value.operand} else 'false'"
    return f"({text}) if {value.operand} is boolean else ''" if value.is_optional or value.may_be_null else text


def _write_array(value: Value) -> str:
    loose = value.is_optional or value.may_be_null
    return f"{value.operand} | default([], true) | join(',')" if loose else f"{value.operand} | join(',')"


def _write_object(value: Value) -> str:
    raise UserError(f"it writes {value.source!r}, which is a mapping; Handlebars writes [object Object]")


def _write_unknown(value: Value) -> str:
    if not value.is_optional and not value.may_be_null:
        return value.expression
    return f"'' if {value.operand} is undefined or {value.operand} is none else {value.operand}"


_WRITERS = {
    "string": _write_string,
    "integer": _write_integer,
    "number": _write_number,
    "boolean": _write_boolean,
    "array": _write_array,
    "object": _write_object,
    "": _write_unknown,
}
