"""Work grows with what is asked for, and with nothing else: calls, bytes and SQL are counted at two sizes, no clock is read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli import main
from prompt_registry_plugin.uri import PromptURI
from tests.work import bytes_read, count_calls, sql_work

TEXT = "You are {{who}}. " + "Answer briefly. " * 1000
DRAFTS: dict[str, Callable[[int], pr.protocols.NewVersion]] = {
    "prompts": lambda i: pr.protocols.NewVersion(f"team/p{i}", f"Number {i}: {{{{q}}}}", tags={"team": "care"}),
    "versions of one prompt": lambda i: pr.protocols.NewVersion("p", f"Number {i}: {{{{q}}}}"),
    "chats": lambda i: pr.protocols.NewVersion(f"chat{i}", [{"role": "user", "content": f"Number {i}: {{{{q}}}}"}]),
    "prompts that include another": lambda i: pr.protocols.NewVersion(f"p{i}", f"Number {i} {{{{> footer@production}}}}"),
}


def with_versions(folder: Path, count: int) -> pr.PromptRegistry:
    """Return a registry with one prompt of so many long versions, of which the last two were promoted."""
    registry = pr.open_registry(f"sqlite:///{folder}/{count}.db")
    registry.register_prompts([pr.protocols.NewVersion("p", f"{i} {TEXT}") for i in range(count)])
    registry.set_prompt_alias("p", "production", count - 1)
    registry.set_prompt_alias("p", "production", count)
    return registry


@pytest.mark.parametrize("kind", DRAFTS)
def test_a_batch_costs_what_its_drafts_cost(kind: str, tmp_path: Path) -> None:
    """Four times as many drafts are four times the work, and not sixteen times."""
    calls = []
    for size in (50, 200):
        with pr.open_registry(f"sqlite:///{tmp_path}/{size}.db") as registry:
            registry.register_prompt("footer", "the end")
            registry.set_prompt_alias("footer", "production", 1)
            drafts = [DRAFTS[kind](i) for i in range(size)]
            calls.append(count_calls(partial(registry.register_prompts, drafts)))
    assert calls[1] < 4.2 * calls[0]


def test_checking_drafts_costs_what_they_cost() -> None:
    """As `apply` does before it writes anything."""
    registry = pr.current_registry()
    small, large = ([DRAFTS["prompts"](i) for i in range(size)] for size in (50, 200))
    registry.check_drafts(small)
    assert count_calls(lambda: registry.check_drafts(large)) < 4.2 * count_calls(lambda: registry.check_drafts(small))


def test_a_rollback_reads_the_version_that_it_goes_back_to(tmp_path: Path) -> None:
    """And not those that nobody asked for, however many there are."""
    for count in (3, 60):
        with with_versions(tmp_path, count) as registry, bytes_read(registry) as read:
            assert registry.rollback("p").version == count - 1
            assert read[0] < 5 * len(TEXT)


def test_a_history_in_the_terminal_reads_no_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither does looking when a prompt changed last, nor the error for a version that is not there."""
    with with_versions(tmp_path, 60) as registry, pr.use_registry(registry):
        monkeypatch.setenv("PROMPT_REGISTRY_URL", registry.url)
        with bytes_read(registry) as read, pytest.raises(SystemExit):
            main(["history", "p"])
        shown = capsys.readouterr().out
        assert "version 60" in shown
        assert "production: 59 → 60" in shown
        assert 60 * 10 < read[0] < len(TEXT)
        for missing in ("prompts:/p/99", "prompts:/p@prodution"):
            with bytes_read(registry) as read, pytest.raises(pr.errors.PromptNotFound):
                registry.load_prompt(missing)
            assert read[0] < 1000


def test_a_history_in_the_terminal_reads_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest entries of each kind, in order, however many versions there are; what is older is told."""
    with with_versions(tmp_path, 200) as registry, pr.use_registry(registry):
        monkeypatch.setenv("PROMPT_REGISTRY_URL", registry.url)
        registry.set_prompt_tag("p", "a", "b")
        with bytes_read(registry) as few:
            assert len(registry.summarize_history("p", limit=7)) == 7
        with bytes_read(registry) as everything:
            whole = registry.summarize_history("p")
        assert few[0] < everything[0] / 10
        for limit in (1, 2, 150, 1000):
            assert registry.summarize_history("p", limit=limit) == whole[-limit:]
        with pytest.raises(SystemExit):
            main(["history", "p", "--limit", "5"])
        shown = capsys.readouterr().out
        assert ("version 200" in shown, "version 190" in shown) == (True, False)
        assert "These are the newest 5 entries; --limit shows more." in shown


def test_a_load_that_is_cached_sends_no_query(tmp_path: Path) -> None:
    """Whatever was recorded meanwhile; a moved alias costs one."""
    with with_versions(tmp_path, 3) as registry:
        registry.load_prompt("prompts:/p@production")
        with registry.record():
            pass
        registry.flush()
        with bytes_read(registry) as read:
            registry.load_prompt("prompts:/p@production")
            assert read[0] == 0
            registry.rollback("p")
            read[0] = 0
            registry.load_prompt("prompts:/p@production")
            assert 0 < read[0] < 2 * len(TEXT)


# --- in a large registry, what is asked for costs what it costs in a small one ------------------------------------------------------


def fill(url: str, count: int) -> pr.PromptRegistry:
    """Return a registry of `count` prompts, ten of them of one team, and half as many traces."""
    registry = pr.open_registry(url)
    drafts = [
        pr.protocols.NewVersion(
            f"p{i}", f"You are clerk {i}: {{{{q}}}}", tags={"team": "care" if i % (count // 10) == 0 else f"t{i}"}
        )
        for i in range(count)
    ]
    registry.register_prompts([*drafts, pr.protocols.NewVersion("p3", "You are another clerk: {{q}}")])
    for i in range(count):
        registry.set_prompt_alias(f"p{i}", "production", 1)
    registry.set_prompt_alias("p3", "production", 2)
    for i in range(count // 2):
        with registry.record("agent"):
            registry.load_prompt(f"p{i}").format(q="x")
    registry.flush()
    return registry


@pytest.fixture(scope="module")
def small_and_large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[pr.PromptRegistry]]:
    """A registry of a hundred prompts, and one of a thousand."""
    folder = tmp_path_factory.mktemp("growth")
    with ExitStack() as stack:
        yield [stack.enter_context(fill(f"sqlite:///{folder}/{count}.db", count)) for count in (100, 1000)]


def record_a_call(registry: pr.PromptRegistry) -> None:
    with registry.record("agent"):
        registry.load_prompt("p1").format(q="x")


COST_THE_SAME: dict[str, Callable[[pr.PromptRegistry], object]] = {
    "a version by alias": lambda registry: registry.store.prompts.get(PromptURI("p1", alias="production")),
    "the newest version": lambda registry: registry.store.prompts.get(PromptURI("p1")),
    "a prompt that may be missing": lambda registry: registry.load_prompt("nobody", allow_missing=True),
    "a new prompt": lambda registry: registry.register_prompt("new", "{{q}}"),
    "a new version": lambda registry: registry.register_prompt("p1", "New: {{q}}"),
    "a moved alias": lambda registry: registry.set_prompt_alias("p2", "staging", 1),
    "a rollback": lambda registry: registry.rollback("p3"),
    "a tag": lambda registry: registry.set_prompt_tag("p4", "team", "other"),
    "a history": lambda registry: registry.prompt_history("p5"),
    "a search by tag": lambda registry: registry.search_prompts("tags.team = 'care'"),
    "a search by words": lambda registry: registry.search_prompts("text MATCH 'clerk 77'"),
    "the first page": lambda registry: registry.search_prompts(max_results=20),
    "a later page": lambda registry: registry.search_prompts(max_results=20, page_token=later_page(registry)),
    "the newest prompts": lambda registry: registry.search_prompts(max_results=20, order_by=["created_at DESC"]),
    "a recorded call": record_a_call,
    "the newest traces": lambda registry: registry.search_traces(max_results=5),
    "human feedback": lambda registry: registry.log_feedback(registry.search_traces(max_results=1)[0].id, True),
}


def later_page(registry: pr.PromptRegistry) -> str:
    """Return the token of a page behind 60 prompts."""
    token = registry.search_prompts(max_results=60).token
    assert token
    return token


@pytest.mark.parametrize("what", COST_THE_SAME)
def test_it_costs_the_same_in_a_large_registry(what: str, small_and_large: list[pr.PromptRegistry]) -> None:
    """The same statements, and as many steps of SQLite's engine, with ten times as many prompts and traces."""
    steps, statements = [], []
    for registry in small_and_large:
        with sql_work(registry) as work:
            COST_THE_SAME[what](registry)
            registry.flush()
        steps.append(work.steps)
        statements.append(len([text for text in work.statements if not text.startswith("--")]))
    assert statements[0] == statements[1]
    assert steps[1] < 1.3 * steps[0] + 100, steps


# --- and what grows, grows in proportion -------------------------------------------------------------------------------------------


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code


def rows(count: int) -> list[dict[str, Any]]:
    return [{"inputs": {"q": str(i)}, "expectations": {"expected_response": "x"}} for i in range(count)]


def evaluate_cached(count: int) -> None:
    """The second time, when nothing has to be run."""
    options = pr.RunOptions(on_event=lambda event: None, cache="nightly")
    pr.evaluate(predict_fn=lambda q: q, data=rows(count), scorers=["exact_match"], options=options)


def record_spans(count: int) -> None:
    with pr.record():
        for i in range(count):
            pr.load_prompt("p0").format(q=str(i))
    pr.current_registry().flush()


IN_PROPORTION: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {  # what comes before, and what is counted
    "pull": (lambda n: None, lambda n: command("pull", "prompts")),
    "status": (lambda n: command("pull", "prompts"), lambda n: command("status", "prompts")),
    "push": (lambda n: change_files(), lambda n: command("push", "prompts", "-m", "more")),
    "export": (lambda n: None, lambda n: command("export", "all.jsonl")),
    "apply": (lambda n: write_configuration(n), lambda n: command("apply", "config.yaml")),
    "a dataset": (lambda n: None, lambda n: pr.register_dataset("d", rows(n))),
    "new rows of a dataset": (lambda n: pr.register_dataset("d", rows(1)), lambda n: pr.merge_records("d", rows(n))),
    "a cached evaluation": (evaluate_cached, evaluate_cached),
    "the spans of a trace": (lambda n: None, record_spans),
}


def change_files() -> None:
    """Check out every prompt, and add a line to each file."""
    command("pull", "prompts")
    for path in Path("prompts").rglob("p[0-9]*"):
        path.write_text(path.read_text() + "\nmore")


def write_configuration(count: int) -> None:
    """A file that names `count` new prompts."""
    lines = [f"  c{i}: {{name: c{i}, default_template: 'Number {i}: {{{{q}}}}'}}" for i in range(count)]
    Path("config.yaml").write_text("\n".join(["prompts:", *lines]))


@pytest.mark.parametrize("what", IN_PROPORTION)
def test_work_is_in_proportion(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many prompts, rows or spans are four times the work, for Python and for the database."""
    calls, steps = [], []
    prepare, do = IN_PROPORTION[what]
    for count in (25, 100):
        folder = tmp_path / str(count)
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PROMPT_REGISTRY_URL", f"sqlite:///{folder}/x.db")
        with pr.current_registry() as registry:
            registry.register_prompts([pr.protocols.NewVersion(f"p{i}", f"Number {i}: {{{{q}}}}") for i in range(count)])
            prepare(count)
            with sql_work(registry) as work:
                calls.append(count_calls(partial(do, count)))
            steps.append(work.steps)
    assert calls[1] < 4.4 * calls[0], calls
    assert steps[1] < 4.4 * steps[0] + 100, steps


# --- and the way of an agent is short ----------------------------------------------------------------------------------------------


def test_a_cached_load_looks_at_one_counter(registry: pr.PromptRegistry) -> None:
    """Whether another process wrote: no query, and nothing at all for what is loaded and rendered after that."""
    pr.register_prompt("p", "{{q}}")
    pr.load_prompt("p")
    with sql_work(registry) as work:
        for _ in range(100):
            pr.load_prompt("p").format(q="x")
    assert work.statements == ["PRAGMA data_version"] * 100


def test_the_agent_does_not_wait_for_its_trace(registry: pr.PromptRegistry) -> None:
    """It is written by another thread: what the agent's own sends are its loads."""
    pr.register_prompt("p", "{{q}}")
    pr.load_prompt("p")
    with sql_work(registry) as work:
        with pr.record():
            pr.load_prompt("p").format(q="x")
        registry.flush()
    own = [text for text, thread in zip(work.statements, work.threads, strict=True) if thread == threading.get_ident()]
    assert own == ["PRAGMA data_version"]
    assert any("INSERT INTO traces" in text for text in work.statements)


def test_an_idle_adapter_looks_at_a_flag_and_two_variables(registry: pr.PromptRegistry) -> None:
    """Of the functions of this project a few are called for a chain that nobody records, and one counter is asked."""
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.prompts import ChatPromptTemplate

    template = ChatPromptTemplate.from_messages([("system", "You are {role}."), ("user", "{question}")])
    chain = template | FakeListChatModel(responses=["fine"])

    def invoke() -> None:
        chain.invoke({"role": "a clerk", "question": "How?"})

    invoke()
    # A test before this one may have enabled the adapter: LangChain offers no way to remove a callback hook.
    assert count_calls(invoke, "prompt_registry") <= 5
    pr.enable("langchain")
    invoke()
    with sql_work(registry) as work:
        assert 0 < count_calls(invoke, "prompt_registry") < 100
    assert set(work.statements) <= {"PRAGMA data_version"}


LABELS = [f"label{n}" for n in range(12)]


@pr.scorer
async def right(outputs: str, expectations: Mapping[str, str]) -> pr.Feedback:
    ok = outputs == expectations["label"]
    return pr.Feedback(float(ok), [pr.Item(f"should be {expectations['label']}", ok, "classify", expectations["label"])])


async def do_nothing() -> None:
    """What a call waits for, in addition to its answer."""


def search(
    budget: int, *, on_call: Callable[[], Awaitable[None]] = do_nothing, on_reflection: Callable[[], Awaitable[None]] = do_nothing
) -> pr.PromptOptimizationResult:
    """An optimization run that proposes edits until its budget is spent."""
    edits = 0

    async def predict(n: int) -> str:
        """A simulated target that is wrong now and then, and whose text no edit can make right."""
        await on_call()
        text = str(pr.load_prompt("classify", 1).format())
        return LABELS[n % 12] if (n * 7919 + len(text) * 104729) % 100 < 60 else "unknown"

    async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
        nonlocal edits
        edits += 1
        await on_reflection()
        return "```\n" + str(messages[0]["content"]).split("```")[1].strip() + f"\n- rule {edits}: look closely\n```"

    pr.register_prompt("classify", f"Answer with one of the labels that you know: {', '.join(LABELS)}")
    data = [{"inputs": {"n": n}, "expectations": {"label": LABELS[n % 12]}} for n in range(budget // 2)]
    return pr.optimize_prompts(
        predict_fn=predict, train_data=data, eval_data=[], prompt_uris=["prompts:/classify/1"], scorers=[right],
        reflection_model=reflect, budget=budget, constraints=pr.Constraints(max_words=10_000),
        options=pr.RunOptions(concurrency=8, on_event=lambda event: None),
    )  # fmt: skip


def test_a_rollout_costs_the_engine_the_same_in_a_long_run(tmp_path: Path) -> None:
    """Calls, statements and steps of a rollout, with four times as many rollouts."""
    calls, statements, steps = [], [], []
    for budget in (150, 600):
        with pr.open_registry(f"sqlite:///{tmp_path}/{budget}.db") as registry, pr.use_registry(registry):
            with sql_work(registry) as work:
                found: list[pr.PromptOptimizationResult] = []
                made = count_calls(lambda budget=budget, found=found: found.append(search(budget)))  # type: ignore[misc]
            assert found[0].rollouts > 0.9 * budget
            calls.append(made / found[0].rollouts)
            statements.append(len(work.statements) / found[0].rollouts)
            steps.append(work.steps / found[0].rollouts)
    assert calls[1] < 1.5 * calls[0], calls
    assert statements[1] < 1.2 * statements[0], statements
    assert steps[1] < 1.5 * steps[0], steps


def test_a_search_keeps_its_slots_busy() -> None:
    """Several edits are under way: rollouts and other reflections go on while a reflection is answered."""
    calls = reflections = most_calls = most_reflections = calls_meanwhile = 0

    async def call() -> None:
        nonlocal calls, most_calls, calls_meanwhile
        calls += 1
        calls_meanwhile += reflections > 0
        most_calls = max(most_calls, calls)
        await asyncio.sleep(0)
        calls -= 1

    async def reflect() -> None:
        nonlocal reflections, most_reflections
        reflections += 1
        most_reflections = max(most_reflections, reflections)
        for _ in range(50):
            await asyncio.sleep(0)
        reflections -= 1

    result = search(300, on_call=call, on_reflection=reflect)
    assert most_calls == 8
    assert most_reflections >= 2
    assert calls_meanwhile > result.rollouts / 4
