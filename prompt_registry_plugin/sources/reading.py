"""Reads the modules of a program into templates. What was read of a file is kept until it, or one that it imports, changes."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from prompt_registry_plugin.forks import ForkLock
from prompt_registry_plugin.sources.modules import SourceModule
from prompt_registry_plugin.sources.naming import name_templates
from prompt_registry_plugin.sources.places import FoundText
from prompt_registry_plugin.sources.source_template import SourceTemplate
from prompt_registry_plugin.sources.statements import StatementReader
from prompt_registry_plugin.sources.values import Entries, Value

_MAX_TEMPLATES = 20_000
_PARSED_AS = "source read by prompt-registry"  # a name for the parser's warnings about a file that Python warned of already

_Stamp = tuple[object, ...]
"""What tells one state of a module's source from another."""


@dataclass(frozen=True, slots=True)
class Program:
    """The templates of a program's modules."""

    templates: Sequence[SourceTemplate] = ()
    problems: Sequence[str] = ()
    """A sentence for each module that could not be read."""
    modules: int = 0
    """Modules that were read."""


@dataclass(slots=True)
class _Reading:
    """What was read of one module."""

    stamp: _Stamp
    found: list[FoundText] = field(default_factory=list)
    names: dict[str, Value] = field(default_factory=dict)
    imports: dict[str, _Reading | None] = field(default_factory=dict)
    """What was read of the modules whose names were asked for; None for one that was not loaded."""
    problems: list[str] = field(default_factory=list)


_lock = ForkLock()
_kept: dict[str, _Reading] = {}  # by file
_last: tuple[_Stamp, Program] | None = None


def read_program(modules: Sequence[SourceModule]) -> Program:
    """Return the templates in the source of `modules`. Nothing of them is imported or run."""
    global _last
    with _lock:
        stamps = {module.module: _stamp(module) for module in modules}
        asked = tuple(stamps.items())
        if _last is None or _last[0] != asked:
            _last = (asked, _ProgramReader(modules, stamps).read())
        return _last[1]


class _ProgramReader:
    def __init__(self, modules: Sequence[SourceModule], stamps: dict[str, _Stamp]) -> None:
        self._modules = {module.module: module for module in modules}
        self._stamps = stamps
        self._read: dict[str, _Reading] = {}
        self._busy: dict[str, StatementReader] = {}
        self._checking: set[str] = set()

    def read(self) -> Program:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=re.escape(_PARSED_AS))
            for name in self._modules:
                self._reading(name)
        found = [(module, each) for name, module in self._modules.items() for each in self._read[name].found]
        problems = [problem for reading in self._read.values() for problem in reading.problems]
        return Program(name_templates(found, self._modules)[:_MAX_TEMPLATES], problems, len(self._modules))

    def _reading(self, name: str) -> _Reading:
        if name not in self._read:
            module = self._modules[name]
            kept = _kept.get(module.file)
            if kept is not None and name in self._checking:  # modules that import each other: assume that this one holds
                return kept
            self._checking.add(name)
            self._read[name] = kept if kept is not None and self._holds(kept, name) else self._read_module(module)
            _kept[module.file] = self._read[name]
        return self._read[name]

    def _holds(self, reading: _Reading, name: str) -> bool:
        """Whether neither a module nor anything that it took from others changed since it was read."""
        return reading.stamp == self._stamps[name] and all(
            (self._reading(used) if used in self._modules else None) is before for used, before in reading.imports.items()
        )

    def _read_module(self, module: SourceModule) -> _Reading:
        reading = _Reading(self._stamps[module.module])

        def value_of(used: str, name: str) -> Value:
            if used not in self._modules:
                reading.imports[used] = None
                return None
            if used in self._busy:
                names = self._busy[used].scope.values
            else:
                reading.imports[used] = self._reading(used)
                names = self._reading(used).names
            if name == "*":
                return Entries({key: value for key, value in names.items() if not key.startswith("_")})
            return names.get(name)

        reader = StatementReader(module.module, module.package, value_of, self._modules.__contains__)
        self._busy[module.module] = reader
        try:
            for tree, changing in _parse(module):
                reader.read_module(tree, changing)
                reader.read_functions()
        except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
            reading.problems.append(f"{module.file} was not read: {_reason(error)}.")
        del self._busy[module.module]
        reading.found = reader.found
        reading.names = reader.scope.values
        return reading


def _stamp(module: SourceModule) -> _Stamp:
    if module.cells:
        return (module.file, len(module.cells), hash(module.cells))
    try:
        status = os.stat(module.file)
    except OSError:
        return (module.file,)
    return (module.file, status.st_mtime_ns, status.st_size)


_Parsed = tuple[ast.Module, set[str]]
"""A tree, and the names of the module to which its functions assign."""


def _parse(module: SourceModule) -> list[_Parsed]:
    if not module.cells:
        with open(module.file, "rb") as opened:
            return [_parse_source(opened.read())]
    trees = []
    for cell in module.cells:
        try:
            trees.append(_parse_source(cell.encode()))
        except SyntaxError:  # a cell that failed when it was run; the others did not
            continue
    return trees


def _parse_source(source: bytes) -> _Parsed:
    tree = compile(source, _PARSED_AS, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    if b"global " not in source:
        return tree, set()
    return tree, {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}


def _reason(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"line {error.lineno} is not valid Python ({error.msg})"
    if isinstance(error, OSError):
        return str(error.strerror)
    return "it is nested too deeply" if isinstance(error, RecursionError | MemoryError) else str(error)
