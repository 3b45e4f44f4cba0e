"""Adapters on and off: by name, all of them, and at the import of their framework."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.frameworks.adapter import Framework
from prompt_registry_plugin.frameworks.autoload import FILE, LINE
from prompt_registry_plugin.frameworks.lazy import call_after_import
from tests.conftest import ROOT, run_python

CHECKOUT = os.pathsep.join([str(ROOT), str(ROOT / "adapters")])
START = LINE + "import sys\n"
ENABLED = "import prompt_registry_plugin as pr; print(pr.enabled())\n"


def run_hook(program: str, asked: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the start-up hook. The variable is set inside, so that only this hook sees it, and not an installed one."""
    ask = f"import os; os.environ['PROMPT_REGISTRY_ENABLE'] = {asked!r}\n"
    return run_python(ask + START + program, **{"PYTHONWARNINGS": "error:prompt_registry_plugin", **environment})


def start(program: str, asked: str = "all", **environment: str) -> str:
    """Run a program with the start-up hook, and return what it printed."""
    done = run_hook(program, asked, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.process
def test_an_adapter_is_enabled_when_its_framework_is_imported() -> None:
    """And not when another one is, when somebody asks whether it is installed, or when nobody asked for it."""
    use = "import langchain_core.prompts as p; print(p.PromptTemplate.format.__module__)\n" + ENABLED
    assert start(use, "langchain") == "langchain_core.prompts.prompt\n['langchain']\n"
    assert "__wrapped__" in start("import langchain_core.prompts as p; print(vars(p.PromptTemplate.format))")
    assert start(use, "langchain, openai_agents").endswith("['langchain']\n")
    assert start(use, "openai_agents").endswith("[]\n")
    assert start(use, "none").endswith("[]\n")
    looked = "import importlib.util as u; u.find_spec('langchain_core'); print('langchain_core' in sys.modules)\n" + ENABLED
    assert start(looked) == "False\n[]\n"
    graph = "from langgraph.graph import StateGraph\n" + ENABLED
    assert start(graph, "langgraph") == "['langchain', 'langgraph']\n", "and what it requires"


@pytest.mark.process
def test_all_means_all() -> None:
    """OpenTelemetry too, which is no agent framework."""
    assert start("import opentelemetry.trace\n" + ENABLED) == "['otel']\n"
    everything = "import agents, anthropic, google.genai, langchain_core, langgraph.pregel, openai, pydantic_ai\n"
    names = ["anthropic", "google_genai", "langchain", "langgraph", "openai", "openai_agents", "otel", "pydantic_ai"]
    assert start(everything + ENABLED) == f"{names}\n"
    assert start(everything + "import prompt_registry_plugin as pr; print(pr.enabled() == pr.enable())") == "True\n"


@pytest.mark.process
def test_a_program_of_the_standard_library_loads_no_plugin() -> None:
    """The start-up hook runs in every process of an environment."""
    look = "import json, asyncio; print(sorted({'pluggy', 'importlib.metadata', 'prompt_registry_plugin.protocols'} & set(sys.modules)))"
    assert start(look) == "[]\n"
    assert start(look, "") == "[]\n"


@pytest.mark.process
def test_a_program_may_begin_with_any_module_of_the_standard_library() -> None:
    """`dataclasses` imports `copy`, which tries a package of Jython: plugins, which need `dataclasses`, are not loaded then."""
    for first in ("dataclasses", "pickle", "platform"):
        assert start(f"import {first}; import langchain_core\n" + ENABLED, "langchain") == "['langchain']\n"
    look = "import dataclasses, pickle\ntry:\n import org.python.core\nexcept ImportError:\n print('pluggy' in sys.modules)"
    assert start(look) == "False\n"


@pytest.mark.process
def test_to_find_the_adapters_costs_little() -> None:
    """The first import beyond the standard library loads plugins: no event loop, no TLS, no command line, and no records."""
    heavy = (
        "{'asyncio', 'ssl', 'click', 'sqlite3', 'jinja2', 'prompt_registry_plugin.records', 'prompt_registry_plugin.protocols'}"
    )
    own = "[name for name in sys.modules if name.startswith('prompt_registry_plugin')]"
    look = f"print('pluggy' in sys.modules); import pluggy; print(sorted({heavy} & set(sys.modules)), len({own}) < 40)\n"
    assert start(look) == "False\n[] True\n"


@pytest.mark.process
def test_a_framework_that_was_imported_before_is_found() -> None:
    """By a hook of another package, say, that runs earlier."""
    code = (
        "import os; os.environ['PROMPT_REGISTRY_ENABLE'] = 'langchain'\nimport langchain_core\n"
        + START
        + "import pytest\n"
        + ENABLED
    )
    assert run_python(code).stdout == "['langchain']\n"


@pytest.mark.process
def test_an_unknown_name_is_reported_once() -> None:
    """On standard error; the other names work, and the program runs."""
    done = run_hook("import pytest, langchain_core\n" + ENABLED, "lang_chain,langchain,nonsense")
    assert done.stdout == "['langchain']\n"
    assert done.stderr.count("lang_chain") == 1
    assert "no adapter is called 'lang_chain'; did you mean 'langchain'" in done.stderr
    assert (
        done.stderr.count("no adapter is called 'nonsense'; there are anthropic, crewai, google_adk, google_genai, langchain")
        == 1
    )
    with pytest.raises(pr.errors.PluginError, match="no adapter is called 'nonsense'"):
        pr.enable("nonsense")


@pytest.mark.process
def test_a_program_that_imports_this_package_first_gets_its_adapters(tmp_path: Path) -> None:
    """What this package itself imports comes too early to load plugins; a second look, as `run` takes, reports a mistake once, too."""
    for first in ("pr.enabled()", "from prompt_registry_plugin import optimize"):
        program = f"import prompt_registry_plugin as pr\n{first}\nimport langchain_core.prompts\n{ENABLED}"
        again = "from prompt_registry_plugin.frameworks.lazy import _ImportWatcher as W\nW(['nonsense']).find_adapters()\n"
        done = run_hook(program + again, "langchain,nonsense")
        assert done.stdout == "['langchain']\n", first
        assert done.stderr.count("prompt-registry: ") == done.stderr.count("nonsense") == 1, done.stderr


def run_command(folder: Path, *arguments: str, path: str = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run `prompt-registry run` in a folder."""
    command = [sys.executable, "-m", "prompt_registry_plugin", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ, "PYTHONPATH": path}, timeout=60)


def install_plugin(folder: Path, module: str) -> str:
    """Write what pip would write of a plugin, and return the path to import from."""
    info = folder / "prompt_registry_tiny-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: prompt-registry-tiny\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[prompt_registry_plugin]\ntiny = {module}\n")
    return os.pathsep.join([str(folder), CHECKOUT])


def install_third_party(folder: Path, plugin: Path) -> str:
    """Install a copy of the example, and return the path to import from."""
    shutil.copytree(plugin, folder / "examples" / "third_party_plugin")
    (folder / "examples" / "__init__.py").touch()
    return install_plugin(folder, "examples.third_party_plugin.plugin")


THIRD_PARTY = [ROOT / "examples" / "third_party_plugin", ROOT / "tests" / "fixtures" / "third_party_plugin_0_1_0"]
TINY = """
from examples.third_party_plugin.framework import TinyAgent
import prompt_registry_plugin as pr
from prompt_registry_plugin.frameworks.autoload import FILE, LINE
assert 'tiny' in pr.enabled(), pr.enabled()
agent = TinyAgent('clerk', 'prompts:/clerk', lambda system, text: system)
pr.register_prompt('clerk', 'You are served.')
print(agent.ask('hi'))
"""


@pytest.mark.process
@pytest.mark.parametrize("plugin", THIRD_PARTY, ids=lambda plugin: plugin.name)
@pytest.mark.parametrize("asked", ["all", "tiny"])
def test_a_third_partys_adapter_is_enabled_as_well(tmp_path: Path, plugin: Path, asked: str) -> None:
    """Whether it says what it waits for or, like those of 0.1.0, does not; by the hook and by `prompt-registry run`."""
    path = install_third_party(tmp_path, plugin)
    done = run_hook(TINY, asked, PYTHONPATH=path, PYTHONWARNINGS="ignore")
    assert done.stdout == "You are served.\n", done.stderr
    (tmp_path / "agent.py").write_text(TINY)
    ran = run_command(tmp_path, "--enable", asked, "agent.py", path=path)
    assert ran.stdout == "You are served.\n", ran.stderr


@pytest.mark.process
def test_a_third_partys_framework_is_imported_by_its_user_only(tmp_path: Path) -> None:
    """An adapter that says what it waits for costs no import of its framework."""
    path = install_third_party(tmp_path, THIRD_PARTY[0])
    look = "import attr; print(sorted(name for name in sys.modules if name.startswith('examples') and 'framework' in name))\n"
    assert start(look + ENABLED, PYTHONPATH=path) == "[]\n[]\n"


@pytest.mark.process
def test_running_a_program_with_an_unknown_adapter_is_an_error(tmp_path: Path) -> None:
    """Exit code 2, before the program runs."""
    (tmp_path / "agent.py").write_text("print('ran')")
    ran = run_command(tmp_path, "--enable", "nonsense", "agent.py")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no adapter is called 'nonsense'" in ran.stderr


@pytest.mark.process
@pytest.mark.parametrize("module", ["no_such_module", "no_such_package.agent"])
def test_running_a_module_that_does_not_exist_is_an_error(module: str) -> None:
    """In one line, as for a file, and with no recording of nothing."""
    command = [sys.executable, "-m", "prompt_registry_plugin", "run", "--adopt", "-m", module]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": CHECKOUT})
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: there is no module {module}\n")


@pytest.mark.process
def test_a_framework_that_its_plugin_imports_is_loaded_once(tmp_path: Path) -> None:
    """The program has the module that the adapter changed, though its import was under way when the plugin was loaded."""
    (tmp_path / "tiny_framework.py").write_text("print('loaded')\nspec = __spec__\n")
    (tmp_path / "tiny_plugin.py").write_text("""
import tiny_framework
from prompt_registry_plugin import hookimpl

class Tiny:
    name, requires = "tiny", ()
    def enable(self): tiny_framework.enabled = True
    def disable(self): pass

@hookimpl
def prompt_registry_adapters():
    return [Tiny()]
""")
    path = install_plugin(tmp_path, "tiny_plugin")
    use = (
        "import tiny_framework as tiny; print(tiny.enabled, tiny.__spec__ is tiny.spec, tiny.__spec__.loader is tiny.__loader__)"
    )
    assert start(use, PYTHONPATH=path) == "loaded\nTrue True True\n"


@pytest.mark.server  # to import a framework tries whether the machine has IPv6
def test_what_another_adapter_requires_stays_enabled() -> None:
    """LangGraph's builds on LangChain's."""
    pr.enable("langgraph", "openai_agents")
    pr.disable("openai_agents", "langchain")
    assert pr.enabled() == ["langchain", "langgraph"]
    pr.disable("langgraph")
    assert pr.enabled() == []
    pr.enable("langgraph", "langchain")
    pr.disable("langgraph")
    assert pr.enabled() == ["langchain"], "it was asked for by name as well"
    pr.disable()
    assert pr.enabled() == []


@pytest.mark.process
def test_autoload_is_installed_on_request_and_removed_again(tmp_path: Path) -> None:
    """In an environment of its own: programs that do not import the package are served, and without the package nothing breaks."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    here = os.pathsep.join(path for path in sys.path if path)

    def run(*arguments: str, path: str = here) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PROMPT_REGISTRY_ENABLE": "langchain",
            "PROMPT_REGISTRY_URL": "sqlite:///x.db",
        }
        done = subprocess.run([str(python), *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    program = "import langchain_core.prompts as p; print(hasattr(p.PromptTemplate.format, '__wrapped__'))"
    assert run("-c", program) == "False\n"
    assert FILE in run("-m", "prompt_registry_plugin", "autoload", "install")
    assert run("-c", program) == "True\n"
    assert run("-c", "print(1)", path="") == "1\n", "the package is gone, and the file is still there"
    assert FILE in run("-m", "prompt_registry_plugin", "autoload", "remove")
    assert "not installed" in run("-m", "prompt_registry_plugin", "autoload", "remove")
    assert run("-c", program) == "False\n"


class OldFinder:
    """A finder of the kind that Python had before 3.4."""

    def find_module(self, _name: str, _path: object = None) -> None:
        return None


@pytest.mark.filterwarnings("ignore::ImportWarning")  # Python's own, for such finders
def test_a_module_is_imported_past_finders_of_the_old_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python passes over finders without `find_spec`, and so does what waits for an import."""
    called: list[str] = []
    monkeypatch.setattr(sys, "meta_path", [OldFinder(), *sys.meta_path])
    call_off = call_after_import("this_module_waits", lambda: called.append("now"))
    sys.meta_path.insert(1, OldFinder())  # type: ignore[arg-type]
    try:
        with pytest.raises(ModuleNotFoundError, match="this_module_waits"):
            __import__("this_module_waits")
    finally:
        call_off()
    assert called == []


def test_what_is_installed_is_known_for_stand_ins_and_packages_within_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests put modules without a spec in place of a client; `google` may be missing as a whole."""
    monkeypatch.setitem(sys.modules, "stand_in", ModuleType("stand_in"))
    assert Framework("a stand-in", "stand_in", "stand-in", lowest="1", below="2").is_installed
    assert not Framework("nothing", "not_there.inside", "not-there", lowest="1", below="2").is_installed


@pytest.mark.process
@pytest.mark.parametrize("option", [[], ["--record"]])
@pytest.mark.parametrize("program", ["def f():\n    1 / 0\n\nf()\n", "print(\n", "import nothing_of_that_name\n"])
def test_an_error_of_the_program_is_shown_as_python_shows_it(tmp_path: Path, program: str, option: list[str]) -> None:
    """The same traceback, with no frame of ours or of the command line."""
    (tmp_path / "agent.py").write_text(program)
    alone = subprocess.run([sys.executable, "agent.py"], capture_output=True, text=True, cwd=tmp_path)
    done = run_command(tmp_path, *option, "agent.py")
    assert done.returncode == alone.returncode == 1
    assert done.stderr.replace(f"{tmp_path}{os.sep}", "") == alone.stderr.replace(f"{tmp_path}{os.sep}", "")


def test_an_import_goes_on_where_another_thread_takes_the_watcher_away() -> None:
    """Python asks a finder that it has taken from the list before."""
    call_off = call_after_import("colorsys", lambda: None)
    watcher = sys.meta_path[0]
    call_off()
    assert watcher.find_spec("colorsys", None) is None
