"""Hooks and plugins: documented, used by our own parts first, and none can take another down."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin import errors, hookspecs, plugins, protocols, testing
from prompt_registry_plugin.frameworks import adapter
from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.protocols import Reply
from tests.conftest import ROOT, run_python

HOOKS = {
    name: function for name, function in vars(hookspecs).items() if name.startswith("prompt_registry_") and callable(function)
}


def test_every_hook_is_documented_with_its_signature() -> None:
    """A heading each, and no heading for a hook that is not there."""
    docs = (ROOT / "docs" / "hooks.md").read_text()
    headings = {line.removeprefix("### `").removesuffix("`") for line in docs.splitlines() if line.startswith("### `")}
    assert headings == {f"{name}({', '.join(inspect.signature(function).parameters)})" for name, function in HOOKS.items()}


def test_every_name_in_the_documentation_of_hooks_exists() -> None:
    """Classes are public, and dotted names can be imported."""
    docs = (ROOT / "docs" / "hooks.md").read_text()
    public = {name for module in (pr, protocols, errors, testing, adapter) for name in dir(module)}
    code = re.findall(r"`([^`\n]+)`", docs)
    classes = {found[1] for text in code if (found := re.match(r"([A-Z][a-z]\w+)(?=$|\(|\.)", text))}
    assert classes > {"PromptStore", "Model", "Scorer", "Executor"}
    assert classes - public - {"None"} == set()
    for name in (text for text in code if re.fullmatch(r"prompt_registry_plugin(\.\w+)+", text)):
        assert pkgutil.resolve_name(name), name


def test_every_hook_has_a_first_user() -> None:
    """One of our own parts, or the adapters, implements it."""
    manager = create_plugin_manager()
    for name in HOOKS:
        assert getattr(manager.hook, name).get_hookimpls(), name


def entry(name: str, value: str, distribution: str = "prompt-registry-test") -> EntryPoint:
    class Distribution:
        pass

    found = EntryPoint(name, value, plugins.GROUP)
    Distribution.name = distribution  # type: ignore[attr-defined]
    vars(found).update(dist=Distribution())
    return found


def test_a_broken_plugin_is_skipped_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing modules, errors at import and misspelled hooks; a good one beside them works."""
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('at import')")
    (tmp_path / "misspelled_plugin.py").write_text(
        "from prompt_registry_plugin import hookimpl\n@hookimpl\ndef prompt_registry_scorrers():\n    return []\n"
    )
    (tmp_path / "good_plugin.py").write_text(
        "from prompt_registry_plugin import hookimpl, scorer\n@scorer\ndef always_one(outputs):\n    return 1\n"
        "@hookimpl\ndef prompt_registry_scorers():\n    return [always_one]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [
        entry("a", "broken_plugin"),
        entry("b", "no_such_plugin"),
        entry("c", "misspelled_plugin"),
        entry("d", "good_plugin"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    manager = create_plugin_manager()
    skipped = {info.name: info.skipped for info in manager.infos if info.origin == "prompt-registry-test"}
    assert "at import" in str(skipped["a"])
    assert "no_such_plugin" in str(skipped["b"])
    assert "prompt_registry_scorrers" in str(skipped["c"])
    assert skipped["d"] is None
    assert [scorer.name for listed in manager.hook.prompt_registry_scorers() for scorer in listed if scorer.name == "always_one"]


def test_two_distributions_with_one_plugin_name_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names both; one distribution seen twice is no clash."""
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry("x", "json", "one"), entry("x", "json", "two")])
    with pytest.raises(pr.errors.PluginError, match="one and two"):
        create_plugin_manager()
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry("x", "json", "one"), entry("x", "json", "one")])
    assert [info.name for info in create_plugin_manager().infos if info.origin == "one"] == ["x"]


def test_plugins_bring_stores_models_scorers_optimizers_targets_adapters_and_commands(tmp_path: Path) -> None:
    """Each hook is asked where its thing is wanted."""
    from prompt_registry_plugin.models.resolve import resolve_model
    from prompt_registry_plugin.store.sqlite import SQLiteStore

    class Robot:
        def __init__(self, answer: str) -> None:
            self.answer = answer

    class RobotTarget:
        name = "robot"

        def __init__(self, robot: Robot) -> None:
            self.robot = robot

        async def __call__(self, inputs: Any) -> str:
            return self.robot.answer

        def check(self, inputs: Any) -> str | None:
            return None

    class Everything:
        @pr.hookimpl
        def prompt_registry_open_store(self, url: str) -> Any:
            return SQLiteStore(f"sqlite:///{tmp_path / url.removeprefix('mine:')}") if url.startswith("mine:") else None

        @pr.hookimpl
        def prompt_registry_model(self, spec: Any) -> Any:
            async def say_mine(messages: Sequence[Any], **params: Any) -> Reply:
                return Reply("mine")

            return resolve_model(say_mine) if spec == "mine:model" else None

        @pr.hookimpl
        def prompt_registry_as_target(self, obj: Any) -> Any:
            return RobotTarget(obj) if isinstance(obj, Robot) else None

        @pr.hookimpl
        def prompt_registry_scorers(self) -> Any:
            @pr.scorer
            def is_beep(outputs: str) -> bool:
                return outputs == "beep"

            return [is_beep]

    manager = create_plugin_manager(Everything())
    with pr.PromptRegistry("mine:x.db", plugins=manager) as registry, pr.use_registry(registry):
        registry.register_prompt("p", "x")
        assert (tmp_path / "x.db").exists()
        result = pr.evaluate(predict_fn=Robot("beep"), data=[{"inputs": {"any": 1}}], scorers=["is_beep"])
        assert result.score.mean == 1.0
    assert resolve_model("mine:model", manager).name


def test_a_plugin_gives_versions_as_templates_of_its_framework() -> None:
    """`to_template` asks `prompt_registry_as_template`, for a version made by hand too; a framework without a plugin is an error."""

    class Haystack:
        @pr.hookimpl
        def prompt_registry_as_template(self, version: pr.PromptVersion, framework: str) -> Any:
            return [framework, version.uri, version.template] if framework == "haystack" else None

    version, plugin = pr.PromptVersion("p", 2, "Hi {{x}}"), Haystack()
    plugins.default_plugin_manager().register(plugin)
    try:
        assert version.to_template("haystack") == ["haystack", "prompts:/p/2", "Hi {{x}}"]
    finally:
        plugins.default_plugin_manager().unregister(plugin)
    with pytest.raises(pr.errors.PluginError, match="No installed plugin makes prompt templates of 'haystack'"):
        version.to_template("haystack")


def test_a_version_becomes_a_template_before_anything_else_is_imported(tmp_path: Path) -> None:
    """A version that is made by hand in a new process finds the plugins."""
    done = run_python(
        "from prompt_registry_plugin.prompts.version import PromptVersion\n"
        "print(PromptVersion('p', 2, 'Hi {{x}}').to_langchain().uri)",
        PROMPT_REGISTRY_URL=f"sqlite:///{tmp_path / 'none.db'}",
    )
    assert done.stdout.strip() == "prompts:/p/2", done.stderr
