"""The package as a whole: what importing costs, which layer imports which, and that the public names are there."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import prompt_registry_plugin as pr
from tests.conftest import ROOT, run_python

PACKAGE = ROOT / "prompt_registry_plugin"

# Above everything, and therefore free to import it: the lazy front door, and the command line's entry.
FRONT = {"__init__", "__main__"}
_ROW = re.compile(r"^\| (\d+) \| (\w+) \| ([^|]+) \| ([^|]+) \|$", re.M)


def _layers() -> dict[str, int]:
    """Layer by package, from the one table that there is."""
    rows = _ROW.findall((ROOT / "ARCHITECTURE.md").read_text())
    layers = {package: int(layer) for layer, package, _owns, _may_not in rows}
    assert len(layers) == len(rows), "a package stands twice in the table"
    return layers


def _imports(path: Path) -> set[str]:
    """Top-level parts of our own package that a module imports, at run time or for its types."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("prompt_registry_plugin"):
            parts = node.module.split(".")
            found.update([parts[1]] if len(parts) > 1 else [alias.name for alias in node.names])
        elif isinstance(node, ast.Import):
            found.update(a.name.split(".")[1] for a in node.names if a.name.startswith("prompt_registry_plugin."))
    return found


def test_a_package_imports_lower_layers_only() -> None:
    """A package imports lower layers of the table and itself, for types too; the core imports no adapter and no framework."""
    layers = _layers()
    known = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert known - FRONT == set(layers), "every package has its row in ARCHITECTURE.md"
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in FRONT:
            continue
        for used in _imports(path) - {own, "__version__"}:
            assert layers[used] < layers[own], f"{path.relative_to(ROOT)} ({own}) must not import {used}"
        text = path.read_text()
        for framework in ("langchain", "langgraph", "pydantic_ai", "agents", "prompt_registry_adapters"):
            assert f"import {framework}" not in text, path
            assert f"from {framework}" not in text, path


def test_adapters_use_core_names_and_their_own_framework_only() -> None:
    """An adapter imports the core, its framework and the standard library, never another adapter."""
    allowed = {
        "langchain": {"langchain", "langchain_core"},
        "langgraph": {"langgraph"},
        "pydantic_ai": {"pydantic_ai"},
        "openai_agents": {"agents"},
    }
    import sys

    for path in (ROOT / "adapters" / "prompt_registry_adapters").rglob("*/*.py"):
        own = path.parent.name
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = name.split(".")[0]
                if top == "prompt_registry_adapters":
                    assert name.split(".")[1] == own, f"{path}: {name}"
                else:
                    assert top in {"prompt_registry_plugin", *allowed[own]} | sys.stdlib_module_names, f"{path}: {name}"


def test_there_is_no_package_called_adapters() -> None:
    """A published package of that name exists, which ours would shadow."""
    assert not (ROOT / "adapters" / "__init__.py").exists()


def test_importing_is_light() -> None:
    """The import loads no framework, HTTP client, pydantic or database, and few modules at all, of our own and of Python's."""
    code = """
import sys
before = set(sys.modules)
import prompt_registry_plugin
loaded = set(sys.modules) - before
heavy = {'langchain_core', 'langgraph', 'openai', 'httpx', 'httpx2', 'pydantic', 'sqlite3', 'sqlite_utils', 'rich', 'click', 'pluggy'}
print(sorted(heavy & set(sys.modules)))
print(sorted(name for name in loaded if name.startswith('prompt_registry_plugin')))
print(len(loaded))
"""
    heavy, ours, count = run_python(code).stdout.splitlines()
    assert heavy == "[]"
    assert len(ast.literal_eval(ours)) <= 5, ours
    assert int(count) <= 50


def test_using_the_registry_loads_no_framework(tmp_path: Path) -> None:
    """Registering, loading and rendering need no framework either, though adapters for them are installed."""
    code = f"""
import sys
import prompt_registry_plugin as pr
with pr.open_registry("sqlite:///{tmp_path / "x.db"}") as registry:
    registry.register_prompt("a", "{{{{x}}}}")
    assert registry.load_prompt("a").format(x=1) == "1"
print(sorted({{'langchain_core', 'langgraph', 'openai', 'httpx', 'pydantic', 'rich'}} & set(sys.modules)))
"""
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stderr


def test_public_names_are_sorted_and_there() -> None:
    """`__all__` is sorted and every name in it resolves; unknown names fail as usual."""
    assert pr.__all__ == sorted(pr.__all__)
    assert all(getattr(pr, name) is not None for name in pr.__all__)
    assert not hasattr(pr, "no_such_name")


def test_public_functions_have_async_twins_where_they_wait() -> None:
    """What does I/O or runs an agent has a twin with the prefix `a` that is a coroutine function."""
    for name in (
        "register_prompt",
        "load_prompt",
        "search_prompts",
        "set_prompt_alias",
        "rollback",
        "adopt",
        "evaluate",
        "optimize_prompts",
    ):
        assert inspect.iscoroutinefunction(getattr(pr, f"a{name}")), name


def test_every_public_thing_has_a_docstring() -> None:
    """Whatever is exported says what it is."""
    assert [name for name in pr.__all__ if not (getattr(pr, name).__doc__ or "").strip()] == []
