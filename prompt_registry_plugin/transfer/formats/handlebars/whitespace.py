"""White space beside tags: what `~` removes, and the line of a block, comment or partial that stands alone on it."""

from __future__ import annotations

import re

from prompt_registry_plugin.transfer.formats.handlebars.syntax import Block, Comment, Content, Mustache, Node, Partial, Program

_ENDS_LINE = re.compile(r"\r?\n\s*\Z")
_BEGINS_LINE = re.compile(r"\s*?\r?\n")


def strip_program(program: Program, *, is_root: bool = True) -> None:
    """Cut the texts of a program and of its blocks as Handlebars does."""
    body = program.body
    for i, node in enumerate(body):
        if isinstance(node, Block):
            open_alone, close_alone = _strip_block(node)
            before, after = node.open_strip.before, node.close_strip.after
        elif isinstance(node, Mustache | Comment | Partial):
            open_alone = close_alone = False
            before, after = node.strip.before, node.strip.after
        else:
            continue
        alone_before, alone_after = _is_blank_before(body, i, is_root), _is_blank_after(body, i, is_root)
        if after:
            _cut_start(body, i + 1, everything=True)
        if before:
            _cut_end(body, i - 1, everything=True)
        if isinstance(node, Comment | Partial) and alone_before and alone_after:
            _cut_start(body, i + 1)
            if _cut_end(body, i - 1) and isinstance(node, Partial):
                node.indent = _indent_of(body[i - 1])
        if isinstance(node, Block):
            if open_alone and alone_before:
                _cut_start((node.program or node.inverse or Program()).body, 0)
                _cut_end(body, i - 1)
            if close_alone and alone_after:
                last = (node.inverse or node.program or Program()).body
                _cut_start(body, i + 1)
                _cut_end(last, len(last) - 1)


def _strip_block(block: Block) -> tuple[bool, bool]:
    """Cut the branches of a block; return whether its first tag ends a line, and whether its last one begins one."""
    for branch in (block.program, block.inverse):
        if branch is not None:
            strip_program(branch, is_root=False)
    program = block.program or block.inverse or Program()
    inverse = block.inverse if block.program is not None else None
    first = last = inverse
    if inverse is not None and inverse.is_chained:
        first = _branch_of(inverse)
        while last is not None and last.is_chained:
            last = _branch_of(last)
    open_alone = _is_blank_after(program.body, -1, False)
    close_alone = _is_blank_before((first or program).body, len((first or program).body), False)
    if block.open_strip.after:
        _cut_start(program.body, 0, everything=True)
    if inverse is not None and first is not None and last is not None:
        if block.inverse_strip.before:
            _cut_end(program.body, len(program.body) - 1, everything=True)
        if block.inverse_strip.after:
            _cut_start(first.body, 0, everything=True)
        if block.close_strip.before:
            _cut_end(last.body, len(last.body) - 1, everything=True)
        if _is_blank_before(program.body, len(program.body), False) and _is_blank_after(first.body, -1, False):
            _cut_end(program.body, len(program.body) - 1)
            _cut_start(first.body, 0)
    elif block.close_strip.before:
        _cut_end(program.body, len(program.body) - 1, everything=True)
    return open_alone, close_alone


def _branch_of(chained: Program) -> Program:
    """Return the first branch of the block that an `else if` makes."""
    block = chained.body[-1]
    assert isinstance(block, Block)
    return block.program or Program()


def _is_blank_before(body: list[Node], i: int, is_root: bool) -> bool:
    if i == 0:
        return is_root
    node = body[i - 1]
    if not isinstance(node, Content):
        return False
    is_first = is_root and i == 1
    return bool(_ENDS_LINE.search(node.original)) or (is_first and not node.original.strip())


def _is_blank_after(body: list[Node], i: int, is_root: bool) -> bool:
    if i + 1 >= len(body):
        return is_root
    node = body[i + 1]
    if not isinstance(node, Content):
        return False
    is_last = is_root and i + 2 == len(body)
    return bool(_BEGINS_LINE.match(node.original)) or (is_last and not node.original.strip())


def _cut_start(body: list[Node], i: int, *, everything: bool = False) -> None:
    node = body[i] if 0 <= i < len(body) else None
    if not isinstance(node, Content) or (not everything and node.is_cut_right):
        return
    text = node.text.lstrip() if everything else re.sub(r"\A[ \t]*\r?\n?", "", node.text)
    node.is_cut_right, node.text = text != node.text, text


def _cut_end(body: list[Node], i: int, *, everything: bool = False) -> bool:
    node = body[i] if 0 <= i < len(body) else None
    if not isinstance(node, Content) or (not everything and node.is_cut_left):
        return False
    text = node.text.rstrip() if everything else re.sub(r"[ \t]+\Z", "", node.text)
    node.is_cut_left, node.text = text != node.text, text
    return node.is_cut_left


def _indent_of(node: Node) -> str:
    match = re.search(r"[ \t]+\Z", node.original) if isinstance(node, Content) else None
    return match[0] if match else ""
