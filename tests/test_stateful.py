"""Both stores against a registry that is a few dictionaries: whatever is done to the three, they answer the same."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import prompt_registry_plugin as pr
from tests.stores import postgres_url

NAMES = st.sampled_from(["a", "b", "a/c", "B.x"])
ALIASES = st.sampled_from(["production", "staging", "c"])
TEXTS = st.sampled_from(["one", "two {{x}}", "drei ßtück", "one two"])
NUMBERS = st.integers(1, 5)
KEYS, VALUES = st.sampled_from(["k", "team"]), st.sampled_from(["v", "100%", "V"])


class Model:
    """A registry in memory, as short as it can be said."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[int, str]] = {}
        self.last: dict[str, int] = {}
        self.aliases: dict[str, dict[str, int]] = {}
        self.moves: dict[tuple[str, str], list[tuple[int | None, bool]]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.protected: set[tuple[str, str]] = set()
        self.archived: set[str] = set()

    def register(self, name: str, text: str) -> int:
        folder, _, last = name.rpartition("/")
        if last in self.aliases.get(folder, {}):
            raise pr.errors.InvalidName
        versions = self.versions.setdefault(name, {})
        if versions and versions[max(versions)] == text:
            return max(versions)
        self.last[name] = self.last.get(name, 0) + 1
        versions[self.last[name]] = text
        return self.last[name]

    def move(self, name: str, alias: str, version: int | None, *, force: bool = False, rollback: bool = False) -> None:
        if not self.versions.get(name) or (version is not None and version not in self.versions[name]):
            raise pr.errors.PromptNotFound
        if version is not None and self.versions.get(f"{name}/{alias}"):
            raise pr.errors.AliasConflict
        current = self.aliases.setdefault(name, {}).get(alias)
        if version is None and current is None:
            raise pr.errors.PromptNotFound
        if current == version:
            return
        if (name, alias) in self.protected and not force:
            raise pr.errors.AliasConflict
        if version is None:
            del self.aliases[name][alias]
        else:
            self.aliases[name][alias] = version
        self.moves.setdefault((name, alias), []).append((version, rollback))

    def rollback(self, name: str, alias: str) -> int:
        if not self.versions.get(name) or (name, alias) not in self.moves:
            raise pr.errors.PromptNotFound
        stack: list[int | None] = []
        for version, was_rollback in self.moves[name, alias]:
            if was_rollback:
                while stack[-1] != version:
                    stack.pop()
            else:
                stack.append(version)
        earlier = [v for v in stack if v is not None and v != stack[-1] and v in self.versions[name]]
        if not earlier:
            raise pr.errors.AliasConflict
        self.move(name, alias, earlier[-1], rollback=True)
        return earlier[-1]

    def delete(self, name: str, version: int | None) -> None:
        versions = self.versions.get(name)
        if not versions or (version is not None and version not in versions):
            raise pr.errors.PromptNotFound
        if any(version in (None, at) for at in self.aliases.get(name, {}).values()):
            raise pr.errors.AliasConflict
        if version is None:
            self.versions[name] = {}
            self.tags.pop(name, None)
            self.protected = {pair for pair in self.protected if pair[0] != name}
        else:
            del versions[version]

    def need(self, name: str) -> None:
        if not self.versions.get(name):
            raise pr.errors.PromptNotFound

    def summarize(self) -> dict[str, Any]:
        return {
            name: (max(versions), self.aliases.get(name, {}), self.tags.get(name, {}), name in self.archived)
            for name, versions in sorted(self.versions.items())
            if versions
        }


class Registries(RuleBasedStateMachine):
    """Every rule is done to all; the outcome, a value or a kind of error, has to be the same."""

    open_all: Callable[[ExitStack], list[pr.PromptRegistry]]

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.registries = type(self).open_all(self.stack)
        self.model = Model()

    def teardown(self) -> None:
        self.stack.close()

    def same(self, expected: Callable[[], Any], actual: Callable[[pr.PromptRegistry], Any]) -> None:
        def outcome(call: Callable[[], Any]) -> Any:
            try:
                return call()
            except pr.UserError as error:
                return type(error)

        wanted = outcome(expected)
        for registry in self.registries:
            assert outcome(lambda registry=registry: actual(registry)) == wanted, registry

    @rule(name=NAMES, text=TEXTS)
    def register(self, name: str, text: str) -> None:
        self.same(lambda: self.model.register(name, text), lambda r: r.register_prompt(name, text).version)

    @rule(name=NAMES, alias=ALIASES, version=NUMBERS, force=st.booleans())
    def move(self, name: str, alias: str, version: int, force: bool) -> None:
        self.same(
            lambda: self.model.move(name, alias, version, force=force),
            lambda r: r.set_prompt_alias(name, alias, version, force=force, reason="why"),
        )

    @rule(name=NAMES, alias=ALIASES)
    def drop(self, name: str, alias: str) -> None:
        self.same(lambda: self.model.move(name, alias, None), lambda r: r.delete_prompt_alias(name, alias))

    @rule(name=NAMES, alias=ALIASES)
    def roll_back(self, name: str, alias: str) -> None:
        self.same(lambda: self.model.rollback(name, alias), lambda r: r.rollback(name, alias).version)

    @rule(name=NAMES, version=st.none() | NUMBERS)
    def delete(self, name: str, version: int | None) -> None:
        self.same(
            lambda: self.model.delete(name, version),
            lambda r: r.delete_prompt(name, confirm=True) if version is None else r.delete_version(name, version, confirm=True),
        )

    @rule(name=NAMES, alias=ALIASES, on=st.booleans())
    def protect(self, name: str, alias: str, on: bool) -> None:
        def change_model() -> None:
            self.model.need(name)
            (self.model.protected.add if on else self.model.protected.discard)((name, alias))

        self.same(change_model, lambda r: r.protect_alias(name, alias) if on else r.unprotect_alias(name, alias))

    @rule(name=NAMES, on=st.booleans())
    def archive(self, name: str, on: bool) -> None:
        def change_model() -> None:
            self.model.need(name)
            (self.model.archived.add if on else self.model.archived.discard)(name)

        self.same(change_model, lambda r: r.archive_prompt(name) if on else r.restore_prompt(name))

    @rule(name=NAMES, key=KEYS, value=st.none() | VALUES)
    def tag(self, name: str, key: str, value: str | None) -> None:
        def change_model() -> None:
            self.model.need(name)
            tags = self.model.tags.setdefault(name, {})
            tags.pop(key, None)
            if value is not None:
                tags[key] = value

        self.same(change_model, lambda r: r.delete_prompt_tag(name, key) if value is None else r.set_prompt_tag(name, key, value))

    @precondition(lambda self: self.model.versions)
    @rule(
        key=KEYS, value=VALUES, alias=ALIASES, word=st.sampled_from(["one", "two", "ßtück", "x"]),
        joined=st.sampled_from(["AND", "OR", "AND NOT"]),
    )  # fmt: skip
    def search(self, key: str, value: str, alias: str, word: str, joined: str) -> None:
        def matches(name: str) -> bool:
            latest, aliases, tags, archived = self.model.summarize()[name]
            text = self.model.versions[name][latest].replace("{", " ").replace("}", " ").split()
            left, right = tags.get(key) == value or alias in aliases, word in text
            both = {"AND": left and right, "OR": left or right, "AND NOT": left and not right}[joined]
            return both and not archived

        filter_string = f"(tags.{key} = '{value}' OR alias = '{alias}') {joined} text MATCH '{word}'"
        self.same(
            lambda: [name for name in self.model.summarize() if matches(name)],
            lambda r: [prompt.name for prompt in r.search_prompts(filter_string)],
        )

    @invariant()
    def everything_is_the_same(self) -> None:
        shown = self.model.summarize()
        for registry in self.registries:
            found = registry.search_prompts("archived = 'true' OR archived = 'false'")
            assert {p.name: (p.latest_version, p.aliases, p.tags, p.archived_at is not None) for p in found} == shown
            for name, versions in self.model.versions.items():
                assert {v.version: v.template for v in registry.store.prompts.versions(name)} == versions
                for alias, version in self.model.aliases.get(name, {}).items():
                    assert registry.load_prompt(f"prompts:/{name}@{alias}").version == version


def check(open_all: Callable[[ExitStack], list[pr.PromptRegistry]], examples: int, steps: int) -> None:
    machine = type("Machine", (Registries,), {"open_all": staticmethod(open_all)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def sqlite(stack: ExitStack) -> pr.PromptRegistry:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    return stack.enter_context(pr.open_registry(f"sqlite:///{Path(folder) / 'x.db'}"))


def test_sqlite_is_the_model() -> None:
    """Registered, moved, rolled back, deleted, protected, archived, tagged and searched in any order."""
    check(lambda stack: [sqlite(stack)], examples=40, steps=40)


def test_postgresql_and_sqlite_are_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in both at once."""
    monkeypatch.setenv("PROMPT_REGISTRY_CACHE", str(tmp_path / "cache"))
    check(
        lambda stack: [sqlite(stack), stack.enter_context(pr.open_registry(stack.enter_context(postgres_url())))],
        examples=8,
        steps=40,
    )
