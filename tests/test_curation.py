"""Data sets in the registry, splits that leak nothing, and production traces that become examples."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import prompt_registry_plugin as pr
from tests.conftest import run_python


@pr.trace
def answer(question: str) -> str:
    return pr.load_prompt("support").format(question=question).upper()


@pr.trace
def wrong(question: str) -> str:
    return "wrong"


def ask(question: str, name: str = "production") -> pr.Trace:
    with pr.record(name) as trace:
        answer(question)
    return trace


def rows_of(dataset: pr.Dataset) -> list[tuple[object, object]]:
    return [(dict(e.inputs), dict(e.expectations)) for e in dataset]


def test_a_data_set_has_versions_and_each_row_once() -> None:
    """Registering what is there makes no version; merging adds rows and expectations; versions stay as they were."""
    first = pr.register_dataset("qa", [{"inputs": {"q": "a"}, "expectations": {"x": 1}}] * 2, commit_message="start")
    assert (first.uri, len(first), first.summary and first.summary.commit_message) == ("datasets:/qa/1", 1, "start")
    assert pr.register_dataset("qa", first).version == 1
    second = pr.merge_records("qa", [{"inputs": {"q": "a"}, "expectations": {"y": 2}}, {"inputs": {"q": "b"}}])
    assert rows_of(second) == [({"q": "a"}, {"x": 1, "y": 2}), ({"q": "b"}, {})]
    assert rows_of(pr.load_dataset("datasets:/qa/1")) == [({"q": "a"}, {"x": 1})]
    assert pr.load_dataset("datasets:/qa").version == pr.load_dataset("qa", 2).version == 2
    assert [(s.name, s.version, s.rows) for s in pr.list_datasets()] == [("qa", 2, 2)]
    assert [pr.register_dataset("other", second).summary.content_hash] == [second.summary.content_hash]  # type: ignore[union-attr]
    with pytest.raises(pr.errors.DatasetNotFound, match="did you mean 'other'"):
        pr.load_dataset("othr")
    with pytest.raises(pr.errors.DatasetNotFound, match="'qa' has no version 9"):
        pr.load_dataset("datasets:/qa/9")
    with pytest.raises(pr.errors.InvalidName, match="data set name"):
        pr.register_dataset("no spaces", second)


def test_merging_from_many_threads_loses_no_row() -> None:
    """Each of eight threads adds ten rows to one data set."""

    def add(i: int) -> None:
        for j in range(10):
            pr.merge_records("qa", [{"inputs": {"q": f"{i}.{j}"}}])

    threads = [threading.Thread(target=add, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pr.load_dataset("qa")) == 80


def test_a_data_set_is_taken_wherever_data_is() -> None:
    """By its URI and as it is."""
    dataset = pr.register_dataset("qa", [{"inputs": {"q": "a"}, "expectations": {"expected_response": "A"}}])
    for data in ("datasets:/qa", dataset, dataset[:1]):
        assert pr.evaluate(predict_fn=lambda q: q.upper(), data=data, scorers=["exact_match"]).score.mean == 1


def test_splits_are_seeded_stratified_and_leak_nothing() -> None:
    """Each label has its share on both sides; the same question in other words of case and punctuation stays on one side."""
    rows = [
        {"inputs": {"q": f"question {i // 2}{'?' * (i % 2)}"}, "expectations": {"label": "rare" if i < 20 else "often"}}
        for i in range(200)
    ]
    dataset = pr.register_dataset("qa", rows)
    rest, held_out = dataset.split(0.3, seed=1, stratify="label")
    assert len(rest) + len(held_out) == 200
    assert sum(e.expectations["label"] == "rare" for e in held_out) == 6
    assert not {e.inputs["q"].strip("?") for e in rest} & {e.inputs["q"].strip("?") for e in held_out}
    again = pr.load_dataset("qa").split(0.3, seed=1, stratify="label")[1]
    assert [e.id for e in again] == [e.id for e in held_out] != [e.id for e in dataset.split(0.3, seed=2, stratify="label")[1]]
    with pytest.raises(pr.errors.InvalidExample, match="no expectation 'other'"):
        dataset.split(stratify="other")
    with pytest.raises(pr.errors.InvalidExample, match="two rows"):
        dataset[:1].split()
    with pytest.raises(pr.UserError, match="share"):
        dataset.split(1.5)


def test_a_held_out_row_that_only_looks_different_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Data sets that people published have such rows: they are no error, unlike the same row, but the score may be too high."""
    pr.register_prompt("support", "Help. {{question}}")

    def optimize(asked: str) -> None:
        pr.optimize_prompts(
            predict_fn=answer,
            train_data=[{"inputs": {"question": "Why, then?"}, "expectations": {"expected_response": "x"}}],
            eval_data=[{"inputs": {"question": asked}, "expectations": {"expected_response": "x"}}],
            prompt_uris=["prompts:/support"],
            scorers=["exact_match"],
            reflection_model="offline:reflection",
            budget=20,
        )

    optimize("why then")
    assert "1 of 1 held-out examples are training examples in other case" in caplog.text
    with pytest.raises(pr.errors.InvalidExample, match="are in both"):
        optimize("Why, then?")


def test_traces_are_found_by_what_they_did() -> None:
    """By name, prompt, version of a prompt, time and failure; newest first, at most so many."""
    pr.register_prompt("support", "1 {{question}}")
    first = ask("a")
    pr.register_prompt("support", "2 {{question}}")
    second = ask("b", "test")
    with pr.record("broken"), pytest.raises(KeyError):
        pr.trace(dict.__getitem__)({}, "x")

    def search_names(**wanted: object) -> list[str]:
        return [trace.name for trace in pr.search_traces(**wanted)]  # type: ignore[arg-type]

    assert search_names() == ["broken", "test", "production"]
    assert search_names(max_results=1) == ["broken"]
    assert search_names(prompt="support") == ["test", "production"]
    assert search_names(prompt="prompts:/support/1") == ["production"]
    assert search_names(prompt="prompts:/support@latest", failed=False) == ["test"]
    assert search_names(failed=True) == ["broken"]
    assert search_names(name="test") == ["test"]
    now = datetime.now(UTC)
    assert search_names(since=now + timedelta(hours=1)) == []
    between = datetime.fromtimestamp((first.started_at + second.started_at) / 2, UTC)
    assert search_names(until=between) == ["production"]
    assert search_names(since=between.replace(tzinfo=None)) == ["broken", "test"]
    with pytest.raises(pr.errors.PromptNotFound):
        pr.search_traces(prompt="prompts:/nobody/1")


def test_production_traces_become_examples_with_what_people_said() -> None:
    """Corrections take the answer's place, rejected and failed answers go, and a later verdict counts."""
    pr.register_prompt("support", "{{question}}")
    good, bad, mended, again = (ask(question) for question in ("good", "bad", "mended", "again"))
    ask("good")
    pr.log_feedback(good.id, True, rationale="fine")
    pr.log_feedback(bad.id, "no")
    pr.log_feedback(mended.id, False, expectations={"expected_facts": ["x"]})
    pr.log_feedback(again.id, False)
    pr.log_feedback(again.id, True)
    with pr.record("failed") as failed, pytest.raises(ZeroDivisionError):
        pr.trace(lambda question: 1 / question)(0)
    traces = pr.search_traces()
    good_row, again_row = (({"question": q}, {"expected_response": q.upper()}) for q in ("good", "again"))
    mended_row = ({"question": "mended"}, {"expected_facts": ["x"]})
    assert rows_of(pr.Dataset.from_traces(traces)) == [good_row, again_row, mended_row]
    assert rows_of(pr.Dataset.from_traces(traces, only="corrected")) == [mended_row]
    pr.log_feedback(failed.id, expectations={"expected_response": "∞"})
    reviewed = pr.Dataset.from_traces(traces, only="reviewed")
    assert rows_of(reviewed)[-1] == ({"question": 0}, {"expected_response": "∞"})
    assert pr.register_dataset("production", reviewed).version == 1
    with pytest.raises(pr.errors.InvalidExample, match="make no row"):
        pr.Dataset.from_traces([])


def test_feedback_is_checked_and_masked() -> None:
    """An unknown trace, nothing said, and what is no JSON are told; secrets are not stored."""
    pr.register_prompt("support", "{{question}}")
    trace = ask("q")
    with pytest.raises(pr.UserError, match="no trace"):
        pr.log_feedback("nobody", True)
    with pytest.raises(pr.UserError, match="a value"):
        pr.log_feedback(trace.id)
    said = pr.log_feedback(trace.id, "bad", rationale="the key sk-abcdefghijklmnopqrstuvwx is out")
    assert "sk-abcdefghijkl" not in (said.rationale or "")


def test_merging_keeps_rows_that_ask_the_same() -> None:
    """Of several rows with the same inputs none is lost; two different rows with one id are told."""
    pr.register_dataset("qa", [{"inputs": {"q": "a"}, "expectations": {"x": n}} for n in (1, 2)])
    merged = pr.merge_records("qa", [{"inputs": {"q": "b"}}, {"inputs": {"q": "a"}, "expectations": {"x": 3}}])
    assert rows_of(merged) == [({"q": "a"}, {"x": 1}), ({"q": "a"}, {"x": 2}), ({"q": "b"}, {}), ({"q": "a"}, {"x": 3})]
    with pytest.raises(pr.errors.InvalidExample, match="two different rows have the id 'one'"):
        pr.register_dataset("other", [pr.Example({"q": 1}, id="one"), pr.Example({"q": 2}, id="one")])


def test_a_correction_can_be_withdrawn_and_facts_add_up() -> None:
    """A later verdict of the same name takes the earlier one's place; what comes without a verdict is added."""
    pr.register_prompt("support", "{{question}}")
    one, two = ask("one"), ask("two")
    pr.log_feedback(one.id, False, expectations={"expected_response": "mended"})
    pr.log_feedback(one.id, True)
    for fact in ("a", "b"):
        pr.log_feedback(two.id, expectations={"expected_facts": [fact]})
    rows = rows_of(pr.Dataset.from_traces(pr.search_traces()))
    assert rows == [({"question": "one"}, {"expected_response": "ONE"}), ({"question": "two"}, {"expected_facts": ["a", "b"]})]
    with pytest.raises(pr.UserError, match="only is one of"):
        pr.Dataset.from_traces([], only="revewed")  # type: ignore[arg-type]


def test_a_recording_that_raised_has_failed() -> None:
    """Also where no step of it did."""
    with pytest.raises(ValueError, match="no"), pr.record("broken"):
        raise ValueError("no: api_key=sk-abcdefghijklmnopqrstuvwx")
    [trace] = pr.search_traces(failed=True)
    assert (trace.error or "").startswith("ValueError: no")
    assert "abcdefghij" not in (trace.error or "")
    assert pr.search_traces(failed=False) == []
    assert pr.current_registry().store.traces.newest()[0].errors == 1


def test_the_correction_that_was_said_last_holds() -> None:
    """Of two runs with the same inputs, whichever ran first; `log_expectation`'s facts take the place of earlier ones."""
    import prompt_registry_plugin.mlflow as mlflow

    pr.register_prompt("support", "{{question}}")
    older, newer = ask("same"), ask("same")
    pr.log_feedback(newer.id, expectations={"expected_response": "first said"})
    pr.log_feedback(older.id, expectations={"expected_facts": ["last said"]})
    assert rows_of(pr.Dataset.from_traces(pr.search_traces())) == [({"question": "same"}, {"expected_facts": ["last said"]})]
    for facts in (["wrong"], ["right"]):
        mlflow.log_expectation(trace_id=older.id, name="expected_facts", value=facts)
    [row] = pr.Dataset.from_traces([older])
    assert row.expectations["expected_facts"] == ["right"]


def test_the_methods_of_a_registry_act_on_it(tmp_path: Path) -> None:
    """Traces, feedback and datasets of another registry than the current one, by the same names."""
    with pr.open_registry(f"sqlite:///{tmp_path}/other.db") as other:
        with other.record("run") as trace:
            wrong(question="q")
        [stored] = other.search_traces()
        assert stored.id == trace.id
        assert pr.search_traces() == []
        other.log_feedback(trace.id, False, expectations={"expected_response": "right"})
        [feedback] = other.load_feedback([stored])
        assert (feedback.value, feedback.created_by) == (False, "tester")
        rows = pr.Dataset.from_traces([stored], feedback=other.load_feedback([stored]))
        assert rows_of(rows) == [({"question": "q"}, {"expected_response": "right"})]
        assert other.register_dataset("d", rows).uri == "datasets:/d/1"
        assert other.merge_records("d", [{"inputs": {"question": "r"}}]).version == 2
        assert len(other.load_dataset("datasets:/d")) == len(other.examples_of("datasets:/d")) == 2
        assert [summary.name for summary in other.list_datasets()] == ["d"]
        assert pr.list_datasets() == []
        with pytest.raises(pr.UserError, match=r"no trace .* in sqlite:///"):
            pr.log_feedback(trace.id, True)


async def test_the_methods_have_async_twins(registry: pr.PromptRegistry) -> None:
    """As those of prompts have; the functions of the package are made from them."""
    await registry.aregister_dataset("d", [{"inputs": {"q": 1}}])
    assert (await pr.aload_dataset("d")).version == 1
    assert [summary.version for summary in await registry.alist_datasets()] == [1]
    assert (await registry.amerge_records("d", [{"inputs": {"q": 2}}])).version == 2
    with registry.record() as trace:
        pass
    assert [found.id for found in await registry.asearch_traces()] == [trace.id]
    await registry.alog_feedback(trace.id, True)
    assert [feedback.value for feedback in await registry.aload_feedback([trace])] == [True]
    assert pr.merge_records.__wrapped__ is pr.PromptRegistry.merge_records
    for name in ("search_traces", "log_feedback", "register_dataset", "load_dataset", "list_datasets"):
        for twin in (name, f"a{name}"):
            assert getattr(pr, twin).__wrapped__ is getattr(pr.PromptRegistry, twin), twin


def test_a_dataset_finds_feedback_whatever_was_imported(registry: pr.PromptRegistry) -> None:
    """In a new process that has asked for nothing but `Dataset`: a trace of its own, feedback from the registry."""
    with registry.record() as trace:
        wrong(question="q")
    registry.log_feedback(trace.id, False, expectations={"expected_response": "right"})
    code = f"""
from prompt_registry_plugin import Dataset
from prompt_registry_plugin.records import Span
from prompt_registry_plugin.tracing.trace import Trace
span = Span("1", "chain", "answer", 0.0, 1.0, attributes={{"inputs": {{"question": "q"}}, "output": "wrong"}})
[row] = Dataset.from_traces([Trace("run", trace_id={trace.id!r}, spans=[span])])
print(row.expectations["expected_response"])
"""
    done = run_python(code)
    assert done.stdout.strip() == "right", done.stderr
