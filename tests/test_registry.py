"""Versions, aliases, history, rollback, search and tags, on a real SQLite file."""

from __future__ import annotations

import asyncio
import threading

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.plugins import create_plugin_manager


def test_versions_count_from_one_and_same_content_is_not_written_twice() -> None:
    """Registering the newest content again returns it; `force` writes it all the same."""
    first = pr.register_prompt("p", "one", commit_message="start", tags={"team": "a"}, model_config={"t": 0})
    assert (first.version, first.uri, first.created_by, first.commit_message) == (1, "prompts:/p/1", "tester", "start")
    assert pr.register_prompt("p", "one", model_config={"t": 0}) == first
    assert pr.register_prompt("p", "one").version == 2, "another model config is other content"
    assert pr.register_prompt("p", "one", force=True).version == 3
    assert first.content_hash != pr.load_prompt("p").content_hash


def test_every_uri_form_loads() -> None:
    """By number, alias, `latest`, name alone, and an alias behind a slash."""
    for text in ("one", "two", "three"):
        pr.register_prompt("folder/p", text)
    pr.set_prompt_alias("folder/p", "production", 2)
    for reference, text in {
        "prompts:/folder/p/1": "one",
        "prompts:/folder/p@production": "two",
        "prompts:/folder/p/production": "two",
        "prompts:/folder/p@latest": "three",
        "prompts:/folder/p/latest": "three",
        "prompts:/folder/p": "three",
        "folder/p": "three",
    }.items():
        assert pr.load_prompt(reference).template == text, reference
    assert pr.load_prompt("folder/p", 1).template == "one"
    assert pr.load_prompt("folder/p", version="production").aliases == ("production",)


def test_what_is_missing_is_named_with_near_matches() -> None:
    """Prompt, version and alias."""
    pr.register_prompt("qa-v2", "x")
    pr.set_prompt_alias("qa-v2", "production", 1)
    with pytest.raises(pr.errors.PromptNotFound, match=r"no prompt 'qa-v1' in sqlite:.*did you mean 'qa-v2'\?"):
        pr.load_prompt("qa-v1")
    with pytest.raises(pr.errors.PromptNotFound, match="no version 9; the newest is 1"):
        pr.load_prompt("qa-v2", 9)
    with pytest.raises(pr.errors.PromptNotFound, match=r"no alias 'prodution'; did you mean 'production'\?"):
        pr.load_prompt("prompts:/qa-v2@prodution")
    with pytest.raises(pr.errors.PromptNotFound, match="no version 5"):
        pr.set_prompt_alias("qa-v2", "staging", 5)
    with pytest.raises(pr.errors.PromptNotFound):
        pr.current_registry().delete_prompt_alias("qa-v2", "staging")


def test_names_and_aliases_that_would_be_ambiguous_are_refused() -> None:
    """`prompts:/a/b` must not mean two things."""
    pr.register_prompt("a", "x")
    pr.set_prompt_alias("a", "b", 1)
    with pytest.raises(pr.errors.InvalidName, match="already means alias 'b'"):
        pr.register_prompt("a/b", "y")
    pr.register_prompt("a/c", "z")
    with pytest.raises(pr.errors.AliasConflict, match="a prompt of its own"):
        pr.set_prompt_alias("a", "c", 1)
    with pytest.raises(pr.errors.InvalidName, match="reserved"):
        pr.set_prompt_alias("a", "latest", 1)


def test_moves_are_recorded_and_rolled_back_one_by_one() -> None:
    """Rollback goes back one move at a time, is itself recorded, and works again after a new promotion."""
    for text in ("one", "two", "three"):
        pr.register_prompt("p", text)
    for version in (1, 2, 3):
        pr.set_prompt_alias("p", "production", version, reason=f"try {version}")
    assert pr.rollback("p", "production", reason="bad").version == 2
    assert pr.rollback("p", "production").version == 1
    with pytest.raises(pr.errors.AliasConflict, match="no earlier version"):
        pr.rollback("p", "production")
    pr.set_prompt_alias("p", "production", 3)
    assert pr.rollback("p", "production").version == 1
    moves = [entry for entry in pr.prompt_history("p") if isinstance(entry, pr.records.AliasMove)]
    assert [(m.from_version, m.to_version, m.rollback) for m in moves] == [
        (None, 1, False), (1, 2, False), (2, 3, False), (3, 2, True), (2, 1, True), (1, 3, False), (3, 1, True),
    ]  # fmt: skip
    assert (moves[3].reason, moves[0].reason, moves[0].moved_by) == ("bad", "try 1", "tester")
    assert sum(isinstance(entry, pr.PromptVersion) for entry in pr.prompt_history("p")) == 3


def test_setting_an_alias_where_it_is_records_nothing() -> None:
    """And deleting it is a move like any other."""
    pr.register_prompt("p", "x")
    pr.set_prompt_alias("p", "production", 1)
    pr.set_prompt_alias("p", "production", 1)
    pr.current_registry().delete_prompt_alias("p", "production", reason="gone")
    moves = [entry for entry in pr.prompt_history("p") if isinstance(entry, pr.records.AliasMove)]
    assert [(m.from_version, m.to_version) for m in moves] == [(None, 1), (1, None)]


def test_a_move_can_demand_what_it_replaces() -> None:
    """`expected_version` fails when somebody else was faster, and changes nothing then."""
    pr.register_prompt("p", "one")
    pr.register_prompt("p", "two")
    pr.set_prompt_alias("p", "production", 1, expected_version=None)
    with pytest.raises(pr.errors.AliasConflict, match="points at version 1, not at the expected 2"):
        pr.set_prompt_alias("p", "production", 2, expected_version=2)
    assert pr.load_prompt("prompts:/p@production").version == 1


def test_a_moved_alias_is_seen_at_once_through_the_cache(registry: pr.PromptRegistry) -> None:
    """Also when another connection, as another process has, moved it."""
    pr.register_prompt("p", "one")
    pr.register_prompt("p", "two")
    pr.set_prompt_alias("p", "production", 1)
    assert pr.load_prompt("prompts:/p@production").version == 1
    assert pr.load_prompt("prompts:/p@production") is pr.load_prompt("prompts:/p@production"), "cached"
    with pr.open_registry(registry.url) as other:
        other.set_prompt_alias("p", "production", 2)
        assert pr.load_prompt("prompts:/p@production").version == 2
        pr.rollback("p", "production")
        assert other.load_prompt("prompts:/p@production").version == 1


def test_search_by_name_tag_and_alias() -> None:
    """With AND, OR, NOT, parentheses, order and pages."""
    pr.register_prompt("telco/support", "x", tags={"use_case": "technical_support"})
    pr.register_prompt("telco/sales", "x", tags={"use_case": "sales"})
    pr.register_prompt("bank", "x")
    pr.current_registry().set_prompt_tag("bank", "it's", "100%")
    pr.set_prompt_alias("bank", "production", 1)

    def names(text: str | None = None, **options: object) -> list[str]:
        return [prompt.name for prompt in pr.search_prompts(text, **options)]  # type: ignore[arg-type]

    assert names() == ["bank", "telco/sales", "telco/support"]
    assert names("name = 'bank'") == ["bank"]
    assert names("name LIKE 'telco%'") == ["telco/sales", "telco/support"]
    assert names("name LIKE 'TELCO%'") == []
    assert names("name ILIKE 'TELCO%'") == ["telco/sales", "telco/support"]
    assert names("tags.use_case = 'technical_support'") == ["telco/support"]
    assert names("tags.use_case != 'sales'") == ["bank", "telco/support"]
    assert names("tags.`it's` = '100%'") == ["bank"]
    assert names("alias = 'production' OR tags.use_case LIKE 'tech%'") == ["bank", "telco/support"]
    assert names("NOT (alias = 'production') AND name LIKE '%s'") == ["telco/sales"]
    assert names(order_by=["name DESC"], max_results=2) == ["telco/support", "telco/sales"]
    page = pr.search_prompts(max_results=2)
    assert names(max_results=2, page_token=page.token) == ["telco/support"]
    assert pr.search_prompts("name = 'bank'")[0].aliases == {"production": 1}


@pytest.mark.parametrize(
    ("text", "caret"),
    [
        ("name = bank", 7),
        ("task = 'x'", 0),
        ("name 'x'", 5),
        ("name = 'x' alias = 'y'", 11),
        ("(name = 'x'", 11),
        ("name = 'x", 7),
        ("name ~ 'x'", 5),
    ],
)
def test_a_filter_that_cannot_be_read_shows_the_place(text: str, caret: int) -> None:
    """A caret stands under it."""
    with pytest.raises(pr.errors.InvalidFilter) as error:
        pr.search_prompts(text)
    assert str(error.value).splitlines()[1:] == [f"  {text}", f"  {' ' * caret}^"]


def test_tags_of_prompts_and_versions() -> None:
    """Set, changed and removed; values are texts."""
    pr.register_prompt("p", "x", tags={"a": "1"})
    pr.current_registry().set_prompt_version_tag("p", 1, "a", "2")
    pr.current_registry().set_prompt_version_tag("p", 1, "b", "3")
    pr.current_registry().delete_prompt_version_tag("p", 1, "a")
    assert pr.load_prompt("p").tags == {"b": "3"}
    pr.current_registry().set_prompt_tag("p", "owner", "me")
    assert pr.search_prompts()[0].tags == {"owner": "me"}
    pr.current_registry().delete_prompt_tag("p", "owner")
    assert pr.search_prompts()[0].tags == {}
    with pytest.raises(pr.errors.InvalidName, match="is a string"):
        pr.current_registry().set_prompt_tag("p", "k", 5)  # type: ignore[arg-type]
    with pytest.raises(pr.errors.PromptNotFound, match="no version 7"):
        pr.current_registry().set_prompt_version_tag("p", 7, "k", "v")


def test_what_is_no_json_is_refused_before_anything_is_written() -> None:
    """A model config with an object in it, say."""
    with pytest.raises(pr.errors.InvalidTemplate, match="model_config"):
        pr.register_prompt("p", "x", model_config={"client": object()})
    assert pr.search_prompts() == []


async def test_async_twins_share_everything() -> None:
    """The same registry, the same cache, the same scopes."""
    await pr.aregister_prompt("p", "one")
    await pr.aset_prompt_alias("p", "production", 1)
    assert await pr.aload_prompt("prompts:/p@production") is pr.load_prompt("prompts:/p@production")
    with pr.override_prompts({"p": "candidate"}):
        assert (await pr.aload_prompt("p")).template == "candidate"
    assert [p.name for p in await pr.asearch_prompts("name = 'p'")] == ["p"]
    loads = await asyncio.gather(*(pr.aload_prompt("p") for _ in range(50)))
    assert all(found is loads[0] for found in loads)


def test_threads_share_a_registry(registry: pr.PromptRegistry) -> None:
    """Eight threads register, alias and load at once; nothing is lost or doubled."""
    errors: list[BaseException] = []

    def work(i: int) -> None:
        try:
            for j in range(25):
                version = registry.register_prompt("shared", f"{i} {j}")
                registry.set_prompt_alias("shared", f"t{i}", version.version)
                assert registry.load_prompt(f"prompts:/shared@t{i}").template == f"{i} {j}"
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [v.version for v in registry.store.prompts.versions("shared")] == list(range(1, 201))


def test_registries_are_chosen_by_scope(tmp_path: object) -> None:
    """`use_registry` changes the current one for a block."""
    with pr.open_registry(f"sqlite:///{tmp_path}/other.db") as other, pr.use_registry(other):
        pr.register_prompt("only-there", "x")
    assert pr.search_prompts() == []


def test_hooks_are_told_of_versions_and_moves(tmp_path: object) -> None:
    """Once for each version that was written and each move that was made."""
    told: list[str] = []

    class Plugin:
        @pr.hookimpl
        def prompt_registry_version_registered(self, version: pr.PromptVersion) -> None:
            told.append(version.uri)

        @pr.hookimpl
        def prompt_registry_alias_moved(self, move: pr.records.AliasMove) -> None:
            told.append(f"{move.alias} {move.from_version}->{move.to_version}")

        @pr.hookimpl
        def prompt_registry_trace_finished(self, trace: pr.Trace) -> None:
            told.append(f"trace {trace.name}")

    plugins = create_plugin_manager(Plugin())
    with pr.PromptRegistry(f"sqlite:///{tmp_path}/hooked.db", plugins=plugins) as registry:
        registry.register_prompt("p", "x")
        registry.register_prompt("p", "x")
        registry.set_prompt_alias("p", "production", 1)
        registry.set_prompt_alias("p", "production", 1)
        with registry.record("r"):
            pass
    assert told == ["prompts:/p/1", "production None->1", "trace r"]


def test_deleting_and_setting_again_can_be_taken_back() -> None:
    """Rollback goes to the last different version, over a deletion too, and never stands still."""
    for text in ("one", "two"):
        pr.register_prompt("p", text)
    pr.set_prompt_alias("p", "production", 1)
    pr.set_prompt_alias("p", "production", 2)
    pr.current_registry().delete_prompt_alias("p", "production")
    assert pr.rollback("p").version == 2
    pr.current_registry().delete_prompt_alias("p", "production")
    pr.set_prompt_alias("p", "production", 2)
    assert pr.rollback("p").version == 1
    with pytest.raises(pr.errors.AliasConflict):
        pr.rollback("p")
    with pytest.raises(pr.errors.InvalidURI, match="needs a version"):
        pr.set_prompt_alias("p", "production", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"model_config": "gpt"}, "is a mapping"),
        ({"response_format": "json"}, "is a mapping"),
        ({"tools": "a"}, "is a list"),
        ({"tags": ["n"]}, "are a mapping"),
    ],
)
def test_what_has_another_shape_is_told_at_registration(what: dict[str, object], said: str) -> None:
    """And nothing is written."""
    with pytest.raises(pr.UserError, match=said):
        pr.register_prompt("p", "x", **what)  # type: ignore[arg-type]
    assert pr.search_prompts() == []


def test_a_reference_without_its_scheme_says_what_to_write() -> None:
    """Rather than call it a bad name."""
    for reference in ("support@production", "support/1"):
        with pytest.raises(pr.errors.InvalidURI, match=f"write prompts:/{reference}"):
            pr.load_prompt(reference)
    with pytest.raises(pr.UserError):
        pr.search_prompts(max_results="x")  # type: ignore[arg-type]
    with pytest.raises(pr.errors.InvalidFilter):
        pr.search_prompts(5)  # type: ignore[arg-type]
