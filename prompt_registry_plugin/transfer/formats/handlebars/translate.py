"""Translates the tree of a Handlebars template into Jinja, with the helpers that dotprompt knows.

Blocks become Jinja. Roles, the history and media stay marks in the result, and are only allowed outside of blocks: here the number of
messages does not depend on values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.handlebars.items import Code, History, Item, Media, Role
from prompt_registry_plugin.transfer.formats.handlebars.scope import Globals, Scope
from prompt_registry_plugin.transfer.formats.handlebars.syntax import (
    Argument,
    Block,
    Call,
    Content,
    Literal,
    Mustache,
    Partial,
    Path,
    Program,
)
from prompt_registry_plugin.transfer.formats.handlebars.values import Value
from prompt_registry_plugin.transfer.formats.jinja_source import literal, quote
from prompt_registry_plugin.transfer.formats.pieces import Variable

HELPERS = (
    "role",
    "history",
    "media",
    "section",
    "json",
    "ifEquals",
    "unlessEquals",
    "if",
    "unless",
    "each",
    "with",
    "lookup",
    "log",
)
"""Helpers of dotprompt and Handlebars."""
MAX_PARTIALS = 20
"""How deep partials may include partials."""
_CONDITIONS = ("if", "unless", "ifEquals", "unlessEquals")


class Translator:
    """Translates one template. `partial` returns the tree of a partial; the names in `reserved` are not given to loops."""

    def __init__(self, values: Globals, partial: Callable[[str], Program | None], reserved: set[str]) -> None:
        self._values = values
        self._partial = partial
        self._reserved = reserved
        self.notes: list[str] = []

    def translate(self, program: Program) -> list[Item]:
        """Return the items of a template. Raises `UserError` for what has no counterpart in Jinja."""
        return list(self._items(program, Scope(self._values), 0))

    def _items(self, program: Program, scope: Scope, depth: int) -> Iterator[Item]:
        for node in program.body:
            if isinstance(node, Content):
                yield node.text
            elif isinstance(node, Mustache):
                with _add_line(node.line):
                    yield from self._mustache(node.call, scope)
            elif isinstance(node, Partial):
                with _add_line(node.line):
                    yield from self._partial_items(node.call, node.indent, None, scope, depth)
            elif isinstance(node, Block) and node.is_partial:
                yield from self._partial_items(node.call, "", node.program, scope, depth)
            elif isinstance(node, Block):
                yield Code(self._block(node, scope, depth))

    def _source(self, program: Program | None, scope: Scope, depth: int) -> str:
        """Return a branch of a block as Jinja source. Raises `UserError` for a role, history or media in it."""
        source = ""
        for item in self._items(program, scope, depth) if program else ():
            if isinstance(item, Role | History | Media):
                what = {Role: "role", History: "history", Media: "media"}[type(item)]
                raise UserError(f"{{{{{what}}}}} stands within a block, so that the messages depend on values")
            source += self.write(item)
        return source

    def _mustache(self, call: Call, scope: Scope) -> Iterator[Item]:
        name = call.path.original
        if self._is_helper(call, scope):
            yield from self._helper(name, call, scope)
            return
        if call.args or call.named:
            raise UserError(f"it uses the helper {name!r}, which is defined in a program")
        value = scope.resolve(call.path)
        if scope.is_root_name(call.path) and not value.needs_program:
            yield Variable(call.path.parts[0])
        else:
            yield Code("{{ " + value.written() + " }}", value.is_optional)

    def write(self, item: Item) -> str:
        """Return a text, variable or piece of Jinja as Jinja source."""
        if isinstance(item, Code):
            return item.source
        if isinstance(item, Variable):
            return "{{ " + self._values.variable(item.name).source + " }}"
        assert isinstance(item, str)
        return literal(item)

    def _is_helper(self, call: Call, scope: Scope) -> bool:
        path = call.path
        is_name = not path.is_scoped and not path.is_data and len(path.parts) == 1
        return is_name and path.parts[0] in HELPERS and path.parts[0] not in scope.params

    def _helper(self, name: str, call: Call, scope: Scope) -> Iterator[Item]:
        if name == "role" and len(call.args) == 1 and isinstance(call.args[0], Literal) and isinstance(call.args[0].value, str):
            yield Role(call.args[0].value)
        elif name == "history" and not call.args:
            yield History()
        elif name == "media" and not call.args and "url" in call.named:
            url, kind = self._argument(call.named["url"], scope), call.named.get("contentType")
            yield Media(url, None if kind is None else self._argument(kind, scope))
        elif name == "json" and call.args:
            yield Code(self._json(call, scope), may_be_blank=False)
        elif name == "lookup" and len(call.args) == 2:
            yield Code("{{ " + self._call(call, scope).written() + " }}")
        elif name == "section":
            raise UserError("{{section}} marks a part that a program fills in")
        elif name != "log":
            raise UserError(f"{{{{{name}}}}} is a helper, and is used without what it needs")

    def _json(self, call: Call, scope: Scope) -> str:
        value = self._argument(call.args[0], scope)
        indent = call.named.get("indent")
        number = indent.value if isinstance(indent, Literal) else 0 if indent is None else None
        if not isinstance(number, int) or isinstance(value, str):
            raise UserError("{{json}} takes a name, and a number as 'indent'")
        source = f"{value.operand} | json" + (f"({number})" if number else "")
        return "{{ " + (f"{source} if {value.operand} is defined else 'undefined'" if value.is_optional else source) + " }}"

    def _partial_items(self, call: Call, indent: str, fallback: Program | None, scope: Scope, depth: int) -> Iterator[Item]:
        name = call.path.original.strip("[]\"'")
        program = self._partial(name)
        if program is None and fallback is not None:
            yield from self._items(fallback, scope, depth)
            return
        if program is None:
            raise UserError(f"it includes the partial {name!r}, and there is no file _{name}.prompt beside it")
        if depth >= MAX_PARTIALS:
            raise UserError(f"partials include one another more than {MAX_PARTIALS} deep, by way of {name!r}")
        if indent:
            raise UserError(f"the partial {name!r} is indented, and Handlebars indents all its lines")
        inner = scope
        if call.args:
            value = self._argument(call.args[0], scope)
            inner = scope.enter(_as_value(value), {})
        if call.named:
            inner = inner.with_hash({key: _as_value(self._argument(argument, scope)) for key, argument in call.named.items()})
        yield from self._items(program, inner, depth + 1)

    def _block(self, block: Block, scope: Scope, depth: int) -> str:
        name = block.call.path.original
        with _add_line(block.line):
            if name in ("if", "unless", "each", "with") and (
                len(block.call.args) != 1 or set(block.call.named) - {"includeZero"}
            ):
                raise UserError(f"{{{{#{name}}}}} takes one value")
            if name in _CONDITIONS:
                return self._condition(block, scope, depth)
            if name == "each":
                return self._each(block, self._argument(block.call.args[0], scope), scope, depth)
            if name == "with":
                return self._with(block, self._argument(block.call.args[0], scope), scope, depth)
            if self._is_helper(block.call, scope):
                raise UserError(f"{{{{#{name}}}}} is used as a block, whose text dotprompt drops")
            if block.call.args or block.call.named:
                raise UserError(f"it uses the helper {name!r}, which is defined in a program")
            return self._section(block, scope.resolve(block.call.path), scope, depth)

    def _condition(self, block: Block, scope: Scope, depth: int) -> str:
        written, keyword, current = "", "if", block
        while True:
            written += (
                "{% " + f"{keyword} {self._test(current.call, scope)}" + " %}" + self._source(current.program, scope, depth)
            )
            following = current.inverse
            inner = following.body[0] if following is not None and following.is_chained else None
            if not isinstance(inner, Block) or inner.call.path.original not in _CONDITIONS:
                break
            keyword, current = "elif", inner
        otherwise = self._source(following, scope, depth) if following is not None else ""
        return written + ("{% else %}" + otherwise if otherwise else "") + "{% endif %}"

    def _test(self, call: Call, scope: Scope) -> str:
        name = call.path.original
        if name in ("ifEquals", "unlessEquals"):
            if len(call.args) != 2:
                raise UserError(f"{{{{#{name}}}}} compares two values")
            test = _equal(*(self._argument(argument, scope) for argument in call.args))
            return test if name == "ifEquals" else f"not ({test})"
        if len(call.args) != 1:
            raise UserError(f"{{{{#{name}}}}} takes one value")
        value = self._argument(call.args[0], scope)
        test = quote(value) if isinstance(value, str) else value.condition()
        if isinstance(value, Value) and value.type == "":
            self._note(f"an empty mapping as {value.source!r} is false in a condition here, and true in Handlebars")
        if isinstance(call.named.get("includeZero"), Literal) and isinstance(value, Value):
            test = f"({test} or ({value.operand} is number and {value.operand} is not boolean))"
        return test if name == "if" else f"not ({test})" if " " in test else f"not {test}"

    def _each(self, block: Block, value: Value | str, scope: Scope, depth: int) -> str:
        if isinstance(value, str):
            raise UserError("{{#each}} takes a name")
        item = self._new_name("item")
        loose = value.is_optional or value.may_be_null
        listed = f"{value.operand} | default({'{}' if value.type == 'object' else '[]'}, true)" if loose else value.operand
        key = Value("loop.index0", {"type": "integer"})
        if value.type == "object":
            key = Value(self._new_name("key"), {"type": "string"})
            header = f"{key.source}, {item} in ({listed}).items()"
        elif value.type == "array":
            header = f"{item} in {listed}"
        else:
            key = Value(f"(({value.operand}.keys() | list)[loop.index0] if {value.operand} is mapping else loop.index0)")
            lists = f"{value.operand} if {value.operand} is sequence and {value.operand} is not string else []"
            header = f"{item} in ({value.operand}.values() if {value.operand} is mapping else {lists})"
        kind = value.schema.get("additionalProperties") if value.type == "object" else value.items
        this = Value(item, kind if isinstance(kind, dict) else {})
        params, kept = self._loop_params(block, this, key)
        loop = {name: Value(f"loop.{name}", {"type": "boolean"}) for name in ("first", "last")}
        loop |= {"index": Value("loop.index0", {"type": "integer"}), "key": key}
        body = kept + self._source(block.program, scope.enter(this, params, loop), depth)
        return "{% for " + header + " %}" + body + self._otherwise(block, scope, depth) + "{% endfor %}"

    def _loop_params(self, block: Block, this: Value, key: Value) -> tuple[dict[str, Value], str]:
        """Return the names that a loop gives, and source that keeps the place in the loop for loops within it."""
        names = (block.program or Program()).params
        if len(names) < 2:
            return dict.fromkeys(names, this), ""
        kept = Value(self._new_name("place"), key.schema)
        return {names[0]: this, names[1]: kept}, "{% set " + f"{kept.source} = {key.source}" + " %}"

    def _with(self, block: Block, value: Value | str, scope: Scope, depth: int) -> str:
        if isinstance(value, str):
            raise UserError("{{#with}} takes a name")
        params = dict.fromkeys((block.program or Program()).params[:1], value)
        test = value.condition() if value.type == "object" else f"({value.operand} or {value.operand} is mapping)"
        body = self._source(block.program, scope.enter(value, params), depth)
        return "{% if " + test + " %}" + body + self._otherwise(block, scope, depth) + "{% endif %}"

    def _otherwise(self, block: Block, scope: Scope, depth: int) -> str:
        source = self._source(block.inverse, scope, depth)
        return "{% else %}" + source if source else ""

    def _section(self, block: Block, value: Value, scope: Scope, depth: int) -> str:
        """Return a block without a helper: a condition, a loop or a scope, which Handlebars decides by the value."""
        if value.type == "array":
            return self._each(block, value, scope, depth)
        if value.type == "object":
            return self._with(block, value, scope, depth)
        if value.type != "boolean":
            raise UserError(f"{{{{#{block.call.path.original}}}}} depends on the type of a value that no schema declares")
        body = self._source(block.program, scope, depth)
        return "{% if " + value.condition() + " %}" + body + self._otherwise(block, scope, depth) + "{% endif %}"

    def _argument(self, argument: Argument, scope: Scope) -> Value | str:
        """Return a value, or the text of a string literal."""
        if isinstance(argument, Path):
            return scope.resolve(argument)
        if isinstance(argument, Call):
            return self._call(argument, scope)
        if isinstance(argument.value, str):
            return argument.value
        kinds = {bool: "boolean", int: "integer", float: "number"}
        return Value(quote(argument.value), {"type": kinds.get(type(argument.value), "null")})

    def _call(self, call: Call, scope: Scope) -> Value:
        if call.path.original != "lookup" or len(call.args) != 2 or call.named:
            raise UserError(f"it uses the helper {call.path.original!r}, which is defined in a program")
        value, key = (self._argument(argument, scope) for argument in call.args)
        if isinstance(value, str):
            raise UserError("{{lookup}} takes a name")
        if isinstance(key, str):
            return value.attribute(key)
        return Value(f"{value.operand}[{key.expression}]", value.items, is_optional=True)

    def _new_name(self, base: str) -> str:
        name, i = base, 2
        while name in self._reserved:
            name, i = f"{base}_{i}", i + 1
        self._reserved.add(name)
        return name

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _as_value(value: Value | str) -> Value:
    return Value(quote(value), {"type": "string"}) if isinstance(value, str) else value


def _equal(left: Value | str, right: Value | str) -> str:
    """Return a test as JavaScript's `===` decides: numbers and truth values are never equal."""
    sources = [quote(side) if isinstance(side, str) else side.operand for side in (left, right)]
    test = f"{sources[0]} == {sources[1]}"
    kinds = {side.type if isinstance(side, Value) else "string" for side in (left, right)}
    if kinds & {"string"} or kinds <= {"integer", "number"} or kinds == {"boolean"}:
        return test
    return f"{test} and ({sources[0]} is boolean) == ({sources[1]} is boolean)"


@contextmanager
def _add_line(line: int) -> Iterator[None]:
    """Add the line of a tag to the errors of its translation."""
    try:
        yield
    except UserError as error:
        if str(error).startswith("line "):
            raise
        raise UserError(f"line {line}: {error}") from error
