"""Nunjucks, the template language of promptfoo: which of its templates mean the same in Jinja.

What is accepted was compared with Nunjucks on many templates. What may differ is refused, or named if it depends on values.
"""

from __future__ import annotations

from typing import cast

from jinja2 import Environment, nodes

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.transfer.formats.jinja_text import check_source, parse

_FILTERS = frozenset("capitalize default first join json last length lower replace safe trim upper".split())
_TESTS = frozenset("defined undefined none string number".split())
_METHODS = frozenset(dir(dict)) | frozenset(dir(list)) | frozenset(dir(str)) | {"length"}
_LOOP = frozenset("index index0 revindex revindex0 first last length".split())
_SAME = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Filter, nodes.Test,
    nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.If, nodes.For, nodes.Assign,
    nodes.List, nodes.Keyword,
)  # fmt: skip
_ARITHMETIC = (nodes.Add, nodes.Sub, nodes.Mul)
_LEXER = Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701  it reads tokens and renders nothing


def to_jinja(source: str, where: str) -> tuple[str, list[str]]:
    """Return a Nunjucks template as Jinja, and what is different here, each as a clause.

    Raises `UserError` for what Jinja cannot read or would render otherwise.
    """
    notes = []
    if "\r" in source:
        source = source.replace("\r\n", "\n").replace("\r", "\n")
        notes.append("line ends are \\n here")
    parse(source, where)
    source = _with_json_filter(source)
    tree = parse(source, where)
    check_source(source, where)
    for node in tree.find_all(nodes.Node):
        problem = _problem(node)
        if problem:
            line = getattr(node, "lineno", None) or 1
            raise UserError(f"{where}, line {line}: {problem} is different in Jinja; rewrite it, or write the text without it")
    return source, notes + _notes(tree)


def _with_json_filter(source: str) -> str:
    """Return a template with the filter `dump` under the name that it has here."""
    if "dump" not in source:
        return source
    written, before = "", ""
    for _line, kind, value in _LEXER.lex(source):
        is_filter = kind == "name" and value == "dump" and before == "|"
        written += "json" if is_filter else value
        before = before if kind == "whitespace" else value
    return written


def _notes(tree: nodes.Template) -> list[str]:
    tests = [node.test for node in tree.find_all(nodes.If)] + [node.test for node in tree.find_all(nodes.CondExpr)]
    tests += [node.node for node in tree.find_all(nodes.Not)]
    tests += [side for node in tree.find_all(nodes.And) for side in (node.left, node.right)]
    tests += [side for node in tree.find_all(nodes.Or) for side in (node.left, node.right)]
    names = sorted({test.name for test in tests if isinstance(test, nodes.Name)})
    notes = [f"an empty list or mapping as {name!r} is false in a condition here, and true in Nunjucks" for name in names]
    for compare in tree.find_all(nodes.Compare):
        sides = [compare.expr, *(operand.expr for operand in compare.ops)]
        if any(isinstance(side, nodes.Const) and not isinstance(side.value, str) for side in sides):
            notes.append(f"line {compare.lineno} compares with a number, which a text never equals here")
    return notes


def _problem(node: nodes.Node) -> str | None:
    """Return what in a node Jinja would do otherwise, or None."""
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        return f"the filter {node.name!r}"
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        return f"the test {node.name!r}"
    if isinstance(node, nodes.Name) and node.name == "env":
        return "a variable of the environment, 'env',"
    if isinstance(node, nodes.Getattr):
        on_loop = isinstance(node.node, nodes.Name) and node.node.name == "loop"
        allowed = node.attr in _LOOP if on_loop else node.attr not in _METHODS
        return None if allowed else f"the attribute {node.attr!r}"
    if isinstance(node, nodes.For):
        special = node.recursive or node.test is not None or isinstance(node.target, nodes.Tuple)
        return "a loop over pairs, with a condition, or that sets variables" if special or _sets(node) else None
    if any(map(_writes_constant, _written(node))):
        return "a value that is true, false, none or a fraction"
    if isinstance(node, nodes.Compare):
        sides = [node.expr, *(operand.expr for operand in node.ops)]
        odd = any(isinstance(side, nodes.Test | nodes.Not) or side == nodes.Const(None) for side in sides)
        odd = odd or any(operand.op in ("in", "notin") for operand in node.ops)
        return "a comparison by 'in', with none or with a test" if odd else None
    if isinstance(node, nodes.Not) and isinstance(node.node, (nodes.Compare, nodes.Concat, *_ARITHMETIC)):
        return "'not' before a comparison"
    if isinstance(node, nodes.Test) and not isinstance(node.node, nodes.Name | nodes.Getattr | nodes.Getitem):
        return "a test of an expression"
    if isinstance(node, nodes.Concat | nodes.Filter):
        halves = [part for part in _written(node) if isinstance(part, nodes.CondExpr) and part.expr2 is None]
        return "an 'if' without 'else' within an expression" if halves else None
    if isinstance(node, _ARITHMETIC):
        return None if _is_number(node.left) and _is_number(node.right) else "arithmetic with a value that may be a text"
    if isinstance(node, nodes.Call):
        is_range = isinstance(node.node, nodes.Name) and node.node.name == "range" and all(map(_is_number, node.args))
        return None if is_range and not node.kwargs else "a call"
    if isinstance(node, nodes.Expr | nodes.Stmt) and not isinstance(node, _SAME):
        return f"a {type(node).__name__.lower()}"
    return None


def _sets(loop: nodes.For) -> bool:
    return next(loop.find_all((nodes.Assign, nodes.AssignBlock)), None) is not None


def _written(node: nodes.Node) -> list[nodes.Expr]:
    """Return the expressions in a node whose values become text, or are kept to become text."""
    if isinstance(node, nodes.Output | nodes.Concat):
        return list(node.nodes)
    if isinstance(node, nodes.Assign):
        return [cast("nodes.Expr", node.node)]
    if isinstance(node, nodes.Filter):
        values = [] if node.node is None else [node.node]
        return values if node.name == "default" else [*values, *node.args]
    return list(node.items) if isinstance(node, nodes.List) else []


def _writes_constant(node: nodes.Expr) -> bool:
    """Return whether an expression may be written as `True`, `None` or `1.0` here."""
    if isinstance(node, nodes.Const):
        return not isinstance(node.value, str) and type(node.value) is not int
    if isinstance(node, nodes.CondExpr):
        return _writes_constant(node.expr1) or (node.expr2 is not None and _writes_constant(node.expr2))
    if isinstance(node, nodes.And | nodes.Or):
        return _writes_constant(node.left) or _writes_constant(node.right)
    if isinstance(node, nodes.Filter) and node.name == "default":
        return any(map(_writes_constant, node.args[:1]))
    return isinstance(node, nodes.Compare | nodes.Test | nodes.Not | nodes.List)


def _is_number(node: nodes.Expr) -> bool:
    if isinstance(node, nodes.Const):
        return type(node.value) is int
    if isinstance(node, nodes.Getattr):
        return isinstance(node.node, nodes.Name) and node.node.name == "loop"
    if isinstance(node, nodes.Filter):
        return node.name == "length"
    return isinstance(node, _ARITHMETIC) and _is_number(node.left) and _is_number(node.right)
