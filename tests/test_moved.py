"""Names of 0.1.0: every one still resolves, and says where it is now."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from types import ModuleType

import pytest

from prompt_registry_plugin.moved import GONE, MOVED, RENAMED, current_place
from tests.conftest import ROOT, run_python

# One line for each module of 0.1.0, with the names that it defined: no `_private` ones, loggers and type variables.
NAMES = dict(line.split(":") for line in (ROOT / "tests" / "fixtures" / "names-0.1.0.txt").read_text().splitlines())


@pytest.mark.server  # a package that some modules import tries whether the machine has IPv6
@pytest.mark.filterwarnings("ignore:prompt_registry:DeprecationWarning")
def test_every_public_name_of_the_release_before_resolves() -> None:
    """In the module where it was."""
    lost = [
        f"{module}.{name}"
        for module, names in NAMES.items()
        for name in names.split()
        if not hasattr(import_module(module), name)
    ]
    gone = [f"prompt_registry_plugin.{name.replace(':', '.')}" for name in GONE]
    assert sorted(lost) == sorted(gone), "prompt_registry_plugin/moved.py needs a row for each"


def test_a_name_without_successor_says_what_to_use_instead() -> None:
    """Rather than being a name that never was."""
    with pytest.raises(ImportError, match="cannot import name 'FRAMEWORKS'"):
        exec("from prompt_registry_plugin.attaching import FRAMEWORKS", {})
    with pytest.raises(AttributeError, match="any more: each adapter has `waits_for`"):
        _ = import_module("prompt_registry_plugin.attaching").FRAMEWORKS


def test_a_moved_name_says_where_it_is() -> None:
    """For modules that are gone, modules that are packages now, names that went to several modules, and packages that are gone."""
    for statement, place in {
        "from prompt_registry_plugin.scope import current_recorder": "prompt_registry_plugin.prompts.context.current_recorder",
        "from prompt_registry_plugin.tracing import span": "prompt_registry_plugin.tracing.recorder.span",
        "from prompt_registry_plugin.adapting import enable": "prompt_registry_plugin.frameworks.enabling.enable",
        "from prompt_registry_plugin.formats.prompty import read": "prompt_registry_plugin.transfer.formats.prompty.read",
        "from prompt_registry_plugin.optimize.gepa import Gepa": "prompt_registry_plugin.optimize.optimizers.gepa.Gepa",
        "from prompt_registry_plugin.uri import is_uri": "prompt_registry_plugin.uri.is_prompt_uri",
        "import prompt_registry_plugin.remote as old; old.perform": "prompt_registry_plugin.evaluation.remote.perform",
    }.items():
        with pytest.warns(DeprecationWarning, match=f"is now {place};") as caught:
            exec(statement, {})
        assert {warning.filename for warning in caught} == {"<string>"}, "the warning points at who asked"


def test_evaluate_can_be_called_where_it_was() -> None:
    """A module has its name there now."""
    code = """
from prompt_registry_plugin.evaluation import evaluate
print(evaluate(predict_fn=lambda x: x, data=[{"inputs": {"x": "a"}, "expectations": {"expected_response": "a"}}], scorers=["exact_match"]))
"""
    done = run_python(code, PYTHONWARNINGS="default::DeprecationWarning")
    assert "score" in done.stdout, done.stderr
    assert "is now prompt_registry_plugin.evaluation.evaluate.evaluate" in done.stderr


def test_unknown_names_and_submodules_are_no_old_names() -> None:
    """They fail, or are imported, as in any package."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImportError, match="no_such_name"):
            exec("from prompt_registry_plugin.tracing import no_such_name", {})
        with pytest.raises(ModuleNotFoundError):
            import_module("prompt_registry_plugin.no_such_module")
        scope: dict[str, ModuleType] = {}
        exec("from prompt_registry_plugin.evaluation import options", scope)
        assert scope["options"] is sys.modules["prompt_registry_plugin.evaluation.options"]


def test_stored_references_are_followed_in_silence() -> None:
    """A database of an older release names old places, and nobody can rewrite it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        place = current_place("prompt_registry_plugin.answering", "PromptAgent")
        assert place == ("prompt_registry_plugin.models.prompt_agent", "PromptAgent")
        assert current_place("app", "answer") == ("app", "answer")
        assert current_place("prompt_registry_plugin.records", "Item") == ("prompt_registry_plugin.records", "Item")


@pytest.mark.server
def test_rows_of_the_table_lead_somewhere() -> None:
    """Each old place existed, and each new one exists."""
    for old, homes in MOVED.items():
        assert old in NAMES
        assert all(import_module(home) for home in homes)
    for old, new in RENAMED.items():
        (old_module, old_name), (module, name) = old.split(":"), new.split(":")
        assert old_name in NAMES[_full_name(old_module)].split()
        assert hasattr(import_module(_full_name(module)), name), new


def _full_name(module: str) -> str:
    return module if module.startswith("prompt_registry_adapters.") else f"prompt_registry_plugin.{module}"


def test_the_start_up_hook_of_older_installations_works_in_silence() -> None:
    """An editable installation keeps the hook that it was installed with, and runs it at each start of Python."""
    hook = '__import__("prompt_registry_plugin.attaching", fromlist=["x"]).from_environment()\n'
    use = "import langchain_core.prompts, prompt_registry_plugin as pr; print(pr.enabled())"
    for asked, enabled in {"langchain": "['langchain']\n", "none": "[]\n"}.items():
        done = run_python(hook + use, PROMPT_REGISTRY_ENABLE=asked, PYTHONWARNINGS="error:prompt_registry_plugin")
        assert (done.stdout, done.stderr) == (enabled, "")
