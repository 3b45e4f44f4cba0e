"""Parses a Handlebars template as version 4 of Handlebars does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.transfer.formats.handlebars.syntax import (
    Argument,
    Block,
    Call,
    Comment,
    Content,
    Literal,
    Mustache,
    Node,
    Partial,
    Path,
    Program,
    Strip,
)
from prompt_registry_plugin.transfer.formats.handlebars.whitespace import strip_program

MAX_NESTING = 50
"""How deep blocks and subexpressions may be nested."""

_ID = r"[^\s!\"#%-,./;->@\[-\^`{-~]+(?=[=~}\s/.)\]|])"
_TOKEN = re.compile(
    rf"""\s*(?:
    (?!\}}\}}\}}\}})(?P<close>\}}?~?\}}\}})|(?P<equals>=)|(?P<open>\()|(?P<shut>\))
    |(?P<params>as\s+\|)|(?P<bar>\|)|(?P<string>"(?:\\"|[^"])*"|'(?:\\'|[^'])*')
    |(?P<up>\.\.)|(?P<dot>\.(?=[=~}}\s/.)\]|]))|(?P<sep>[/.])|(?P<at>@)
    |(?P<word>(?:true|false|undefined|null)(?=[~}}\s)\]]))|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?=[~}}\s)\]]))
    |(?P<id>{_ID})|(?P<bracket>\[(?:\\\]|[^\]])*\]))""",
    re.X,
)
_OPEN = re.compile(r"\{\{(?P<raw>\{\{)?(?P<strip>~)?(?P<kind>#>|>|\#\*|\#|/|\^|\{|&|\*|!--|!|\s*else\b)?")
_NEXT_TAG = re.compile(r"\\?\\?\{\{")
_WORDS = {"true": True, "false": False, "null": None, "undefined": None}


@dataclass(slots=True)
class _Tag:
    """A tag before its meaning is known."""

    kind: str
    call: Call | None
    params: list[str]
    strip: Strip
    line: int


def parse(source: str, where: str) -> Program:
    """Return the tree of a template. Raises `InvalidTemplate` with the line of the error."""
    parser = _Parser(source, where)
    program, stop = parser.read_program(0)
    if stop is not None:
        raise parser.error(f"{{{{{stop.kind}{_name(stop)}}}}} closes nothing", stop.line)
    strip_program(program)
    return program


class _Parser:
    def __init__(self, source: str, where: str) -> None:
        self._source = source
        self._where = where
        self._at = 0
        self._counted = (0, 1)  # a place, and its line

    def error(self, said: str, line: int | None = None) -> InvalidTemplate:
        line = self._line() if line is None else line
        return InvalidTemplate(f"the Handlebars template of {self._where} cannot be read, line {line}: {said}")

    def read_program(self, depth: int) -> tuple[Program, _Tag | None]:
        """Return the nodes up to a tag that ends them, and that tag; None at the end of the source."""
        if depth > MAX_NESTING:
            raise self.error(f"blocks are nested more than {MAX_NESTING} deep")
        program = Program()
        while True:
            program.body += [Content(text, text) for text in self._read_texts() if text]
            if self._at >= len(self._source):
                return program, None
            tag = self._read_tag()
            if tag is None:
                continue
            if tag.kind in ("/", "else", "^else", "else chain"):
                return program, tag
            program.body.append(self._node(tag, depth))

    def _node(self, tag: _Tag, depth: int) -> Node:
        if tag.kind == "!":
            return Comment(tag.strip, tag.line)
        assert tag.call is not None
        if tag.kind == "":
            return Mustache(tag.call, tag.strip, tag.line)
        if tag.kind == ">":
            return Partial(tag.call, tag.strip, tag.line)
        return self._block(tag, depth)

    def _block(self, tag: _Tag, depth: int) -> Block:
        assert tag.call is not None
        program, end = self.read_program(depth + 1)
        program.params = tag.params
        inverse, inverse_strip = None, Strip()
        if end is not None and end.kind != "/":
            inverse_strip = end.strip
            inverse, end = self._inverse(end, depth)
        self._check_end(tag, end)
        assert end is not None
        if inverse is not None and inverse.is_chained and isinstance(inverse.body[0], Block):
            inverse.body[0].close_strip = end.strip
        if tag.kind == "^":
            return Block(tag.call, inverse, program, tag.strip, inverse_strip, end.strip, tag.line)
        return Block(tag.call, program, inverse, tag.strip, inverse_strip, end.strip, tag.line, is_partial=tag.kind == "#>")

    def _inverse(self, tag: _Tag, depth: int) -> tuple[Program, _Tag | None]:
        """Return what follows an `else`: a branch, or the block of an `else if` as a branch of its own."""
        if tag.kind != "else chain":
            return self.read_program(depth + 1)
        assert tag.call is not None
        if depth > MAX_NESTING:
            raise self.error(f"blocks are nested more than {MAX_NESTING} deep")
        program, end = self.read_program(depth + 1)
        program.params = tag.params
        inverse, inverse_strip = None, Strip()
        if end is not None and end.kind != "/":
            inverse_strip = end.strip
            inverse, end = self._inverse(end, depth + 1)
        block = Block(tag.call, program, inverse, tag.strip, inverse_strip, Strip(), tag.line)
        if inverse is not None and inverse.is_chained and isinstance(inverse.body[0], Block) and end is not None:
            inverse.body[0].close_strip = end.strip
        return Program([block], is_chained=True), end

    def _check_end(self, tag: _Tag, end: _Tag | None) -> None:
        if end is None:
            raise self.error(f"{{{{#{_name(tag)}}}}} is never closed", tag.line)
        if end.kind != "/" or _name(end) != _name(tag):
            raise self.error(f"{{{{#{_name(tag)}}}}} of line {tag.line} is closed by {{{{/{_name(end)}}}}}", end.line)

    def _read_texts(self) -> list[str]:
        """Return the texts up to the next tag. A backslash makes the tag behind it a text of its own; two make one backslash."""
        texts: list[str] = []
        while True:
            at = self._source.find("{{", self._at)
            before = self._source[self._at :] if at < 0 else self._source[self._at : at]
            self._at = len(self._source) if at < 0 else at
            if at < 0 or not before.endswith("\\"):
                return [*texts, before]
            if before.endswith("\\\\"):
                return [*texts, before[:-1]]
            following = _NEXT_TAG.search(self._source, at + 2)
            self._at = following.start() if following else len(self._source)
            texts += [before[:-1], self._source[at : self._at]]

    def _read_tag(self) -> _Tag | None:
        line = self._line()
        match = _OPEN.match(self._source, self._at)
        assert match is not None
        kind, strip = (match["kind"] or "").strip(), Strip(before=bool(match["strip"]))
        if match["raw"]:
            raise self.error("a raw block, {{{{name}}}}, has no counterpart here")
        if kind in ("!", "!--"):
            return self._read_comment(match, strip, line)
        if kind in ("#*", "*"):
            raise self.error("a decorator has no counterpart here")
        self._at = match.end()
        if kind in ("else", "^"):
            closing = re.compile(r"\s*(~?)\}\}").match(self._source, self._at)
            if closing:
                self._at = closing.end()
                return _Tag("else", None, [], Strip(strip.before, bool(closing[1])), line)
        call, params, after = self._read_call("{" if kind == "{" else "")
        kind = {"else": "else chain", "{": "", "&": ""}.get(kind, kind)
        return _Tag(kind, call, params, Strip(strip.before, after), line)

    def _read_comment(self, match: re.Match[str], strip: Strip, line: int) -> _Tag:
        end = "--" if match["kind"] == "!--" else ""
        closing = re.compile(re.escape(end) + (r"(~?)\}\}" if end else r"()\}\}")).search(self._source, match.end())
        if closing is None:
            raise self.error("a comment is never closed")
        self._at = closing.end()
        after = bool(closing[1]) if end else self._source[closing.start() - 1] == "~"
        return _Tag("!", None, [], Strip(strip.before, after), line)

    def _read_call(self, opened: str) -> tuple[Call, list[str], bool]:
        """Return the call in a tag, its block parameters, and whether the tag removes the white space after it."""
        first = self._argument(0)
        call = Call(_as_path(first)) if not isinstance(first, Call) else first
        if isinstance(first, Call):
            raise self.error("a helper that another helper returns has no counterpart here")
        self._arguments(call, 0)
        params: list[str] = []
        kind, text = self._next()
        if kind == "params":
            kind, text = self._next()
            while kind == "id":
                params.append(text)
                kind, text = self._next()
            if kind != "bar":
                raise self.error("the names between | and | cannot be read")
            kind, text = self._next()
        if kind != "close" or text.startswith("}~") or text.count("}") != 2 + len(opened):
            raise self.error(f"a tag ends with {text!r}")
        return call, params, "~" in text

    def _arguments(self, call: Call, depth: int) -> None:
        while True:
            kind, _ = self._peek()
            if kind in ("close", "shut", "params"):
                return
            start = self._at
            if kind in ("id", "bracket"):
                _, name = self._next()
                name = name[1:-1] if kind == "bracket" else name
                if self._peek()[0] == "equals":
                    self._next()
                    call.named[name] = self._argument(depth)
                    continue
                self._at = start
            if call.named:
                raise self.error("an argument without a name follows one with a name")
            call.args.append(self._argument(depth))

    def _argument(self, depth: int) -> Argument:
        if depth > MAX_NESTING:
            raise self.error(f"subexpressions are nested more than {MAX_NESTING} deep")
        kind, text = self._peek()
        if kind == "open":
            self._next()
            inner = self._argument(depth + 1)
            if isinstance(inner, Call):
                raise self.error("a helper that another helper returns has no counterpart here")
            call = Call(_as_path(inner))
            self._arguments(call, depth + 1)
            if self._next()[0] != "shut":
                raise self.error("a subexpression is never closed")
            return call
        if kind in ("string", "number", "word"):
            self._next()
            return _literal(kind, text)
        return self._path()

    def _path(self) -> Path:
        kind, text = self._next()
        path = Path([], original=text)
        if kind == "at":
            path.is_data = True
            kind, text = self._next()
            path.original += text
        while True:
            if kind in ("up", "dot") or (kind == "id" and text == "this"):
                if path.parts:
                    raise self.error(f"{path.original!r} is not a valid path")
                path.depth += kind == "up"
                path.is_scoped = True
            elif kind in ("id", "bracket"):
                path.parts.append(text[1:-1] if kind == "bracket" else text)
            else:
                raise self.error(f"{text[:20]!r} is not expected here")
            if self._peek(spaces=False)[0] != "sep":
                return path
            path.original += self._next()[1]
            kind, text = self._next()
            path.original += text

    def _next(self) -> tuple[str, str]:
        match = _TOKEN.match(self._source, self._at)
        if match is None or match.lastgroup is None:
            shown = self._source[self._at : self._at + 20].strip()
            raise self.error(f"{shown!r} is not expected here" if shown else "a tag is never closed")
        self._at = match.end()
        return match.lastgroup, match[match.lastgroup]

    def _peek(self, *, spaces: bool = True) -> tuple[str, str]:
        match = _TOKEN.match(self._source, self._at)
        if match is None or match.lastgroup is None or (not spaces and match.start(match.lastgroup) != self._at):
            return "", ""
        return match.lastgroup, match[match.lastgroup]

    def _line(self) -> int:
        at, line = self._counted
        self._counted = (self._at, line + self._source.count("\n", at, self._at))
        return self._counted[1]


def _literal(kind: str, text: str) -> Literal:
    if kind == "string":
        return Literal(text[1:-1].replace("\\" + text[0], text[0]), text)
    if kind == "number":
        return Literal(float(text) if "." in text else int(text), text)
    return Literal(_WORDS[text], text, text == "undefined")


def _as_path(argument: Path | Literal) -> Path:
    """Return a literal in the place of a name as the path that Handlebars makes of it."""
    if isinstance(argument, Path):
        return argument
    text = argument.value if isinstance(argument.value, str) else argument.original
    return Path([text], original=text)


def _name(tag: _Tag) -> str:
    return tag.call.path.original if tag.call is not None else ""
