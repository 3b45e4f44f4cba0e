"""The `jinja2` dialect: the full language in Jinja's immutable sandbox.

A variable without a value is false in a condition and equal to nothing; writing it out, or looping over it, is an error. An inline
`if` without `else` writes nothing when it is false. The filter `json` writes a value as JSON, `json(2)` indented by two spaces.

Values are data and never compiled. Templates cannot read private attributes, change their values or load other templates. The
length of the result is limited.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import ChainableUndefined, TemplateSyntaxError, Undefined, meta, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.utils import missing

from prompt_registry_plugin.errors import InvalidTemplate, MissingVariable
from prompt_registry_plugin.templates.jinja_limits import LimitedSandbox, Limits, Rendering
from prompt_registry_plugin.templates.text import TextTemplate, missing_variable_error

MAX_OUTPUT = 1_000_000
"""The most characters that a rendered template may have. A loop in a template could otherwise fill the memory."""

_MAX_INDENT = 16
_LOADING = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class _Missing(ChainableUndefined):
    """A variable without a value: a condition may ask for it, but it cannot become text."""

    __slots__ = ()

    def __str__(self) -> str:
        if self._undefined_name is None and self._undefined_obj is missing:
            return ""  # an inline `if` without `else`
        return str(self._fail_with_undefined_error())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._fail_with_undefined_error())

    def __len__(self) -> int:
        return len(self._fail_with_undefined_error())

    __html__ = __str__


def _write_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON in which no character is escaped without need; on one line, without spaces, if `indent` is None."""
    if isinstance(value, Undefined):
        str(value)  # raises, and names the variable
    if indent is not None and not 0 <= indent <= _MAX_INDENT:
        raise SecurityError(f"an indentation of over {_MAX_INDENT}")
    text = json.dumps(value, ensure_ascii=False, indent=indent or None, separators=None if indent else (",", ":"))
    if len(text) > MAX_OUTPUT:
        raise SecurityError(f"a value would have over {MAX_OUTPUT:,} characters")
    return text


class JinjaTemplate(TextTemplate):
    """A compiled Jinja text. `variables` are the names it reads. A name that is read only behind a condition may be missing."""

    __slots__ = ("_template",)

    def __init__(self, source: str, where: str) -> None:
        try:
            tree = _environment().parse(source)
            if loading := next(tree.find_all(_LOADING), None):
                raise InvalidTemplate(f"line {loading.lineno} of {where} loads another template, which Jinja prompts cannot do")
            names = meta.find_undeclared_variables(tree)
            self._template = _environment().from_string(Limits().visit(tree))
        except TemplateSyntaxError as error:
            raise InvalidTemplate(
                f"the Jinja template of {where} cannot be read, line {error.lineno}: {error.message}"
            ) from error
        except (SyntaxError, RecursionError) as error:
            raise InvalidTemplate(f"the Jinja template of {where} is nested too deeply: {error}") from error
        super().__init__(source, (source,), ())
        self.variables = frozenset(names) - _environment().globals.keys()

    def render(self, values: Mapping[str, Any], where: str) -> str:
        """Return the rendered text.

        Raises `MissingVariable` for undefined names. Raises `InvalidTemplate` for operations that the sandbox forbids, for errors
        in the template, and for more than `MAX_OUTPUT` characters.
        """
        pieces: list[str] = []
        size = 0
        try:
            with Rendering():
                for piece in self._template.generate(dict(values)):
                    pieces.append(piece)
                    size += len(piece)
                    if size > MAX_OUTPUT:
                        raise InvalidTemplate(f"{where} renders to over {MAX_OUTPUT:,} characters")
        except UndefinedError as error:
            if not self.variables <= values.keys():
                raise missing_variable_error(self.variables, values, where) from error
            raise MissingVariable(f"{where}: {error.message}") from error
        except InvalidTemplate:
            raise
        except Exception as error:  # a template is a program and may raise anything
            raise InvalidTemplate(f"{where} cannot be rendered: {type(error).__name__}: {error}") from error
        return "".join(pieces)

    def partial(self, values: Mapping[str, Any]) -> str:
        """Return the source unchanged: values cannot be written into a program. The caller keeps them beside it."""
        return self.source


@lru_cache(maxsize=1024)
def compile_jinja(source: str, where: str) -> JinjaTemplate:
    """Return the compiled form of a Jinja text. Raises `InvalidTemplate` with the line of the error."""
    return JinjaTemplate(source, where)


@lru_cache(maxsize=1)
def _environment() -> LimitedSandbox:
    sandbox = LimitedSandbox(undefined=_Missing, autoescape=False, keep_trailing_newline=True, cache_size=0)
    sandbox.filters["json"] = _write_json
    return sandbox
