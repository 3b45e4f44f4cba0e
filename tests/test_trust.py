"""Code that a database names is called only if it is the user's own and, for an imported run, only after consent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import cli
from prompt_registry_plugin.evaluation.targets import check_reference, import_object
from prompt_registry_plugin.transfer.archive import export_registry, restore_registry

_MODULE = """
import os
from os import system
from json import dumps as answer_json
CALLS = []
def answer(**inputs):
    CALLS.append(inputs)
    return "yes"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module of the user, as the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "their_project.py").write_text(_MODULE, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "their_project", raising=False)
    return folder


@pytest.mark.parametrize(
    "reference",
    ["os:system", "posix:system", "subprocess:run", "builtins:eval", "shutil:rmtree", "os.path:join", "importlib:import_module",
     "click:echo", "rich.console:Console", "antigravity:x{}", "their_project:system", "their_project:os.system", "their_project:os",
     "their_project:answer_json", "prompt_registry_plugin:open_registry", "prompt_registry_plugin.cli.main:main"],
)  # fmt: skip
def test_code_of_others_is_refused(project: Path, reference: str) -> None:
    """Of Python, of packages, and under a name in a module of the project."""
    with pytest.raises(pr.UserError, match=r"as code to call"):
        check_reference(reference)


def test_code_of_the_project_is_not_refused(project: Path) -> None:
    """Nor a class that is made from a recipe; and the working directory is not left on the path."""
    before = list(sys.path)
    check_reference("their_project:answer")
    check_reference('prompt_registry_plugin.scorers.builtin:Regex{"pattern": "a"}')
    assert import_object("their_project:answer")(q=1) == "yes"
    assert sys.path == before


@given(st.sampled_from(sorted(sys.stdlib_module_names)), st.sampled_from(["x", "system", "a.b", "run{}"]))
def test_no_module_of_python_is_imported(module: str, path: str) -> None:
    """Whichever it is: it is refused by its name."""
    known = set(sys.modules)
    with pytest.raises(pr.UserError, match="is part of Python"):
        check_reference(f"{module}:{path}")
    assert module in known or module not in sys.modules


def _import_run(registry: pr.PromptRegistry, project: Path, predict_fn: str) -> tuple[pr.PromptRegistry, str]:
    """Return a registry into which an export with a run was restored that names `predict_fn`, and the id of the run."""
    plan = pr.register_prompt("p", "Say {{x}}")
    config = {"predict_fn": predict_fn, "scorers": ["exact_match"], "prompts": [plan.uri], "folder": str(project),
              "reflection_model": ["string", "offline:reflection"]}  # fmt: skip
    run = registry.store.runs.create(config, {})
    registry.store.runs.finish(run.id, "interrupted") if hasattr(registry.store.runs, "finish") else None
    with (project / "export.jsonl").open("w", encoding="utf-8") as file:
        export_registry(registry, file)
    other = pr.PromptRegistry(f"sqlite:///{project / 'other.db'}")
    restore_registry(other, project / "export.jsonl")
    return other, run.id


@pytest.mark.parametrize(("predict_fn", "reason"), [("their_project:answer", "was imported"), ("os:system", "was imported")])
def test_an_imported_run_is_not_resumed_without_consent(
    registry: pr.PromptRegistry, project: Path, predict_fn: str, reason: str
) -> None:
    """Neither by the function nor by the command; the error names what would be called."""
    other, run_id = _import_run(registry, project, predict_fn)
    from prompt_registry_plugin.optimize.prepare import load_resumable

    record = other.store.runs.get(run_id)
    assert record is not None
    assert record.config["imported"] is True
    other.store.runs.update(run_id, status="interrupted") if hasattr(other.store.runs, "update") else None
    with pr.use_registry(other), pytest.raises(pr.errors.UntrustedRun, match=reason) as error:
        load_resumable(other, run_id)
    assert predict_fn in error.value.references
    done = CliRunner().invoke(cli, ["runs", "resume", run_id, "--registry", other.url])
    assert done.exit_code != 0
    if predict_fn == "os:system":
        with pytest.raises(pr.UserError, match="is part of Python"):
            load_resumable(other, run_id, trust=True)
    else:
        assert load_resumable(other, run_id, trust=True)[1].predict_fn == predict_fn
    assert "their_project" not in sys.modules or not sys.modules["their_project"].CALLS
    other.close()


def test_a_mark_cannot_be_taken_off_in_the_export(registry: pr.PromptRegistry, project: Path) -> None:
    """It is set when the run is restored."""
    other, run_id = _import_run(registry, project, "their_project:answer")
    lines = (project / "export.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert all("imported" not in row["row"]["config"] for row in rows if row.get("table") == "runs")
    assert other.store.runs.get(run_id).config["imported"]  # type: ignore[union-attr]
    other.close()
