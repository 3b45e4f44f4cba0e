"""What names mean in one place of a Handlebars template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.handlebars.syntax import Path
from prompt_registry_plugin.transfer.formats.handlebars.values import Value


@dataclass(frozen=True, slots=True)
class Globals:
    """The values that a whole template has."""

    variable: Callable[[str], Value]
    """Returns the value of a name."""
    data: Callable[[str], Value]
    """Returns the value of a name behind `@`."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean in one place of a template."""

    globals: Globals
    this: Value | None = None
    """The current value, or None for the values of the whole template."""
    parent: Scope | None = None
    """The scope that `../` leads to."""
    params: Mapping[str, Value] = field(default_factory=dict)
    """Names that blocks give to values: `as |item|`. Inner blocks know them, too."""
    hash: Mapping[str, Value] = field(default_factory=dict)
    """Names that a partial was given: `{{> name key=value}}`."""
    loop: Mapping[str, Value] = field(default_factory=dict)
    """`index`, `first`, `last` and `key` of the loop around the place."""

    def enter(self, value: Value, params: Mapping[str, Value], loop: Mapping[str, Value] | None = None) -> Scope:
        """Return the scope in a block whose current value is `value`."""
        merged = {**self.params, **params}
        if value == self.this and loop is None:
            return Scope(self.globals, value, self.parent, merged, self.hash, self.loop)
        return Scope(self.globals, value, self, merged, {}, self.loop if loop is None else loop)

    def with_hash(self, named: Mapping[str, Value]) -> Scope:
        """Return the scope of a partial that is given `named`."""
        return Scope(self.globals, self.this, self.parent, self.params, {**self.hash, **named}, self.loop)

    def is_root_name(self, path: Path) -> bool:
        """Return whether a path is the name of a value of the whole template."""
        known = self.this is not None or path.is_data or path.depth or len(path.parts) != 1
        return not known and path.parts[0] not in self.params and path.parts[0] not in self.hash

    def resolve(self, path: Path) -> Value:
        """Return the value of a path. Raises `UserError` for what a Jinja template cannot ask for."""
        if path.is_data:
            return self._resolve_data(path)
        scope: Scope = self
        for _ in range(path.depth):
            if scope.parent is None:
                raise UserError(f"{path.original!r} leads out of the template")
            scope = scope.parent
        parts = list(path.parts)
        if parts and not path.is_scoped and parts[0] in scope.params:
            value = scope.params[parts.pop(0)]
        elif parts and parts[0] in scope.hash:
            value = scope.hash[parts.pop(0)]
        elif scope.this is not None:
            value = scope.this
        elif parts:
            value = self.globals.variable(parts.pop(0))
        else:
            raise UserError(f"{path.original!r} means all values together, which a template here cannot ask for")
        for part in parts:
            value = value.attribute(part)
        return value

    def _resolve_data(self, path: Path) -> Value:
        name, rest = (path.parts[0], path.parts[1:]) if path.parts else ("", [])
        if path.depth:
            raise UserError(f"{path.original!r} asks for the data of an outer block")
        if name in self.loop:
            value = self.loop[name]
        elif name == "root" and rest:
            value, rest = self.globals.variable(rest[0]), rest[1:]
        elif name in ("root", "index", "key", "first", "last", "partial-block", "metadata", ""):
            raise UserError(f"{path.original!r} has no counterpart here")
        else:
            value = self.globals.data(name)
        for part in rest:
            value = value.attribute(part)
        return value
