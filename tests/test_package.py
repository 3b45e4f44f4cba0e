"""The package as a whole: what importing costs, which layer imports which, and that the public names are there."""

from __future__ import annotations

import ast
import inspect
import os
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.frameworks.adapter import FrameworkAdapter
from prompt_registry_plugin.frameworks.autoload import LINE
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


def _modules() -> dict[str, Path]:
    """All modules of the two import packages, by name."""
    paths = [(path, base) for base in (ROOT, ROOT / "adapters") for path in base.glob("prompt_registry_*/**/*.py")]
    return {".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): path for path, base in paths}


def test_modules_import_one_another_in_one_direction() -> None:
    """No circle, whether an import is for types only or stands in a function."""
    modules = _modules()
    used: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        imported = {(f"{node.module}.{alias.name}", node.module) for node in found for alias in node.names}
        used[name] = {whole if whole in modules else str(module) for whole, module in imported} & modules.keys()
        used[name] -= {name, "prompt_registry_plugin"}  # the front door stands above all, and imports on first use
    TopologicalSorter(used).prepare()


def _adapters() -> dict[str, FrameworkAdapter]:
    """The adapters of the package by their folder, which has their name."""
    folders = sorted(path.parent.name for path in (ROOT / "adapters" / "prompt_registry_adapters").glob("*/plugin.py"))
    found = {name: import_module(f"prompt_registry_adapters.{name}.plugin").prompt_registry_adapters()[0] for name in folders}
    assert all(adapter.name == name for name, adapter in found.items())
    return found


SHARED = ("clients",)  # packages of `prompt_registry_adapters` that are no adapters


def test_adapters_use_core_names_and_their_own_framework_only() -> None:
    """An adapter imports the core, the packages that it declares, the standard library, and the adapters that it requires."""
    adapters = _adapters()
    for own in (*adapters, *SHARED):
        framework = adapters[own].framework if own in adapters else None
        declared = {framework.module.partition(".")[0], *framework.also_imports} if framework else set()
        requires = adapters[own].requires if framework else ()
        for path in (ROOT / "adapters" / "prompt_registry_adapters" / own).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                for name in names:
                    top = name.split(".")[0]
                    if top == "prompt_registry_adapters":
                        assert name.split(".")[1] in {own, *SHARED, *requires}, f"{path}: {name}"
                    else:
                        assert top in {"prompt_registry_plugin", *declared} | sys.stdlib_module_names, f"{path}: {name}"


def test_what_is_installed_agrees_with_what_an_adapter_declares() -> None:
    """Its entry point, its extra, and the versions that `make lowest` and `make frameworks-lowest` try."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [ROOT / "tests" / "lowest.txt", *(ROOT / "tests" / "frameworks").glob("*-lowest.txt")]
    tried = dict(line.split("==") for path in lists for line in path.read_text().splitlines() if "==" in line)
    for name, adapter in _adapters().items():
        framework = adapter.framework
        assert project["entry-points"]["prompt_registry_plugin"][name] == f"prompt_registry_adapters.{name}.plugin"
        [lowest] = [
            wanted.split(">=")[1]
            for wanted in project["optional-dependencies"][framework.extra]
            if wanted.startswith(f"{framework.distribution}>=")
        ]
        assert lowest.startswith(framework.lowest)
        assert tried[framework.distribution].startswith(lowest)


def test_there_is_no_package_called_adapters() -> None:
    """A published package of that name exists, which ours would shadow."""
    assert not (ROOT / "adapters" / "__init__.py").exists()


def test_importing_is_light() -> None:
    """The import loads four modules of the package, and few of the standard library: no `typing` even, since every start may pay."""
    code = """
import os, sys
before = set(sys.modules)
import prompt_registry_plugin
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = done.stdout.split()
    own = [name for name in loaded if name.startswith("prompt_registry_plugin.")]
    assert [name.partition(".")[2] for name in own] == ["lazy_names", "moved", "prompts", "prompts.conversion"]
    assert len(loaded) < 30, loaded
    assert "typing" not in loaded


def test_a_start_with_adapters_enabled_is_light() -> None:
    """`PROMPT_REGISTRY_ENABLE=all` loads six modules of the package, and no plugin before something is imported that Python has not."""
    code = f"""
import sys
before = set(sys.modules)
exec({LINE!r})
import json, http.client
print(*sorted(set(sys.modules) - before))
"""
    environment = {**os.environ, "PROMPT_REGISTRY_ENABLE": "all"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, check=True
    )
    loaded = done.stdout.split()
    assert len([name for name in loaded if name.startswith("prompt_registry_plugin.")]) <= 6, loaded
    assert not {"pluggy", "importlib.metadata"} & set(loaded)


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
    """`__all__` is sorted and every name in it resolves; unknown names fail as usual; a newcomer can read the list."""
    assert pr.__all__ == sorted(pr.__all__)
    assert all(getattr(pr, name) is not None for name in pr.__all__)
    assert set(pr.__all__) <= set(dir(pr))
    assert not hasattr(pr, "no_such_name")
    assert len(pr.__all__) <= 75


def test_the_rest_is_in_four_modules() -> None:
    """They need no import of their own."""
    code = "import prompt_registry_plugin as pr; print(pr.errors.PromptNotFound, pr.records.Page, pr.scorers.Regex, pr.protocols.Reply)"
    done = run_python(code)
    assert done.stdout.count("<class") == 4, done.stderr


@pytest.mark.server  # an adapter imports an HTTP client, which tries at once whether it may listen
def test_stubs_are_true() -> None:
    """What a type checker sees is what there is: each line of a stub names a thing in the module that it names."""
    stubs = [*PACKAGE.rglob("*.pyi"), *(ROOT / "adapters").rglob("*.pyi")]
    assert len(stubs) >= 6
    for stub in stubs:
        package = ".".join(stub.parent.relative_to(ROOT / "adapters" if "adapters" in stub.parts else ROOT).parts)
        for node in ast.parse(stub.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.names[0].name != "*":
                assert [alias.asname for alias in node.names] == [alias.name for alias in node.names]
                module = import_module(f"{package}.{node.module}")
                assert all(hasattr(module, alias.name) for alias in node.names), f"{stub}: {node.module}"


def test_names_that_left_the_front_door_say_where_they_are() -> None:
    """They resolve for a release."""
    for name, place in {
        "InvalidTemplate": "prompt_registry_plugin.errors.InvalidTemplate",
        "Regex": "prompt_registry_plugin.scorers.Regex",
        "Page": "prompt_registry_plugin.records.Page",
        "archive_prompt": "prompt_registry_plugin.registry.functions.archive_prompt",
    }.items():
        with pytest.warns(DeprecationWarning, match=f"^prompt_registry_plugin.{name} is now {place};") as caught:
            value = getattr(pr, name)
        assert caught[0].filename == __file__
        module, _, _ = place.rpartition(".")
        assert value is getattr(import_module(module), name)
        assert name not in pr.__all__


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
