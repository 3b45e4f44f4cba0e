"""One changed import: MLflow's names with their semantics, on our registry, against a real server that simulates the models."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

import prompt_registry_plugin as pr
import prompt_registry_plugin.mlflow as mlflow
from prompt_registry_plugin.mlflow import MlflowClient, NotCarried
from prompt_registry_plugin.mlflow.entities import Feedback
from prompt_registry_plugin.mlflow.genai.datasets import create_dataset, get_dataset
from prompt_registry_plugin.mlflow.genai.optimize import (
    BasePromptOptimizer,
    GepaPromptOptimizer,
    MetaPromptOptimizer,
    PromptOptimizerOutput,
)
from prompt_registry_plugin.mlflow.genai.scorers import Correctness, Guidelines, RegexMatch, ResponseLength, Safety, scorer
from tests.conftest import ROOT, run_python
from tests.waiting import HANG

GOOD = """Which is it: card or loan? Answer with the label only.

- card: lost or stolen plastic
- loan: interest, debt

Text: {{text}}"""
ROWS = [
    {"inputs": {"text": f"{word} number {i}"}, "expectations": {"expected_response": label}}
    for i in range(6)
    for word, label in (("my plastic was stolen", "card"), ("interest of my debt", "loan"))
]
MORE = [{**row, "inputs": {"text": f"{row['inputs']['text']}{end}"}} for row in ROWS for end in (" today", " again")]  # type: ignore[index]


@pytest.fixture(autouse=True)
def default_experiment() -> Iterator[None]:
    yield
    mlflow.set_experiment("Default")
    while mlflow.active_run() is not None:
        mlflow.end_run()


def classify(text: str) -> str:
    prompt = mlflow.genai.load_prompt("prompts:/classify@latest")
    with openai.OpenAI() as client:
        rendered = prompt.format(text=text)
        messages = [{"role": "user", "content": rendered}] if isinstance(rendered, str) else rendered
        said = client.chat.completions.create(model="gpt-x", messages=messages)
    return said.choices[0].message.content or ""


@pytest.fixture
def prompt(openai_environment: str) -> pr.PromptVersion:
    return mlflow.genai.register_prompt(name="classify", template=GOOD, tags={"n": 5})


def test_registering_loading_and_aliases() -> None:
    """Positional arguments, versions as texts, every way to write a reference, and a moved alias that counts at once."""
    first = mlflow.genai.register_prompt("support", "You help {{name}}.", "first", {"use_case": "support"})
    second = mlflow.genai.register_prompt("support", "You help {{name}} well.", commit_message="second")
    assert (first.version, second.version, first.tags["use_case"], second.commit_message) == (1, 2, "support", "second")
    client = MlflowClient()
    client.set_registered_prompt_alias("support", "production", version=1)
    client.set_registered_model_alias(name="support", alias="staging", version="2")
    for reference in ("prompts:/support@production", "prompts:/support/production", "prompts:/support/1"):
        assert mlflow.genai.load_prompt(reference).version == 1
    assert mlflow.genai.load_prompt("prompts:/support", version=1).version == 1
    assert mlflow.genai.load_prompt("prompts:/support/latest").version == 2
    client.set_registered_prompt_alias("support", "production", 2)
    assert mlflow.genai.load_prompt("prompts:/support@production").format(name="Ann") == "You help Ann well."
    assert second.to_single_brace_format() == "You help {name} well."
    client.delete_registered_prompt_alias("support", "staging")
    client.delete_registered_prompt_alias("support", "staging")
    assert mlflow.genai.load_prompt("prompts:/support@staging", allow_missing=True) is None
    with pytest.raises(pr.UserError, match="number"):
        client.set_prompt_alias("support", "production", "latest")
    assert mlflow.genai.register_prompt("main.default.support", "x").uri == "prompts:/main.default.support/1"


def test_searching_gives_versions() -> None:
    """The newest of each prompt that matches; of a filter that names one prompt, all of its versions."""
    for text in ("one", "two"):
        mlflow.genai.register_prompt("telco_support", text, tags={"use_case": "support"})
    mlflow.genai.register_prompt("other", "three")
    found = mlflow.genai.search_prompts(filter_string="tags.use_case = 'support'")
    assert [(p.name, p.version, p.tags["use_case"]) for p in found] == [("telco_support", 2, "support")]
    assert [p.name for p in mlflow.genai.search_prompts("name LIKE 'telco%'")] == ["telco_support"]
    assert {p.name for p in mlflow.genai.search_prompts()} == {"telco_support", "other"}
    assert [p.version for p in mlflow.genai.search_prompts("name = 'telco_support'")] == [2, 1]
    assert mlflow.genai.search_prompts("name = 'nobody'") == []
    assert len(mlflow.genai.search_prompts(max_results=1)) == 1
    assert [p.version for p in MlflowClient().search_prompt_versions("telco_support")] == [2, 1]


def test_logged_prompts_use_single_braces() -> None:
    """`{name}` is a variable; a text with double braces is taken as it is."""
    mlflow.genai.log_prompt(prompt="Help {user}: {query} as {{json}}", artifact_path="prompts/x", registered_model_name="p")
    assert mlflow.genai.load_prompt("prompts:/p/1").format(user="Ann", query="{{user}}") == "Help Ann: {{user}} as {json}"
    assert mlflow.genai.log_prompt(prompt='{{ a }} and {"b": 1}', artifact_path="q").format(a=1) == '1 and {"b": 1}'
    with pytest.raises(pr.UserError, match="registered_model_name"):
        mlflow.genai.log_prompt(prompt="x")


def test_runs_traces_and_data_sets(prompt: pr.PromptVersion) -> None:
    """What is traced in a run is found by its id, and becomes rows whose answers are expected."""

    @mlflow.trace
    def predict(text: str) -> str:
        return text.upper()

    @mlflow.trace(name="outer", span_type="CHAIN")
    async def outer(text: str) -> str:
        return predict(text)

    @mlflow.trace
    def stream(text: str) -> Iterator[str]:
        yield from text

    predict("before")
    mlflow.set_experiment("/Path/to/it")
    with mlflow.start_run(run_name="collect") as run:
        predict("a")
        asyncio.run(outer("b"))
        assert list(stream("cd")) == ["c", "d"]
        mlflow.log_param("prompt_version", prompt.version)
        mlflow.log_metric("quality", 0.5)
        mlflow.log_metric("quality", 0.75, step=2)
        with pytest.raises(pr.UserError, match="parameters do not change"):
            mlflow.log_param("prompt_version", 2)
        with pytest.raises(pr.UserError, match="is active"):
            mlflow.start_run()
    assert mlflow.active_run() is None
    stored = mlflow.get_run(run.info.run_id)
    assert (stored.info.status, stored.info.experiment_id, stored.info.run_name) == ("FINISHED", "/Path/to/it", "collect")
    assert (stored.data.params, stored.data.metrics) == ({"prompt_version": "1"}, {"quality": 0.75})
    traces = mlflow.search_traces(return_type="list", run_id=run.info.run_id)
    assert [trace.name for trace in traces] == ["stream", "outer", "predict"]
    assert [span.name.rpartition(".")[2] for span in traces[1].spans] == ["outer", "predict"]
    frame = mlflow.search_traces(run_id=run.info.run_id)
    assert list(frame["response"]) == [["c", "d"], "B", "A"]
    dataset = create_dataset(name="migration")
    assert not dataset.has_records()
    dataset.merge_records(traces[1:])
    assert sorted(row["expected_response"] for row in dataset.to_df()["expectations"]) == ["A", "B"]
    assert len(get_dataset("migration").merge_records(frame)) == 3
    mlflow.log_feedback(trace_id=traces[0].id, name="ok", value=False)
    mlflow.log_expectation(trace_id=traces[1].id, name="expected_response", value="better")
    rows = pr.Dataset.from_traces(traces)
    assert sorted(row.expectations["expected_response"] for row in rows) == ["A", "better"]


def test_a_run_that_raises_has_failed() -> None:
    """Its state and error are stored, and nothing stays active; a run may be begun and ended by hand."""
    with pytest.raises(ZeroDivisionError), mlflow.start_run() as run:
        _ = 1 / 0
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"
    again = mlflow.start_run(run_id=run.info.run_id)
    assert again.info.status == "RUNNING"
    mlflow.end_run()
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
    with pytest.raises(pr.UserError, match="no tracked run"):
        mlflow.get_run("nobody")


def test_cells_of_a_notebook_are_contexts_of_their_own() -> None:
    """An experiment and a run that one cell begins hold in the next, and traces belong to the run."""
    cells = [contextvars.copy_context() for _ in range(4)]
    traced = mlflow.trace(lambda text: text.upper())
    cells[0].run(mlflow.set_experiment, "notebook")
    run = cells[1].run(mlflow.start_run)
    cells[2].run(traced, "a")
    cells[2].run(mlflow.log_param, "a", 1)
    cells[3].run(mlflow.end_run)
    assert (run.info.experiment_id, run.info.status, run.data.params) == ("notebook", "FINISHED", {"a": "1"})
    assert len(mlflow.search_traces(return_type="list", run_id=run.info.run_id)) == 1


def test_generators_record_what_they_do_themselves() -> None:
    """What a caller does between two items is no part of the recording, and is recorded by itself."""

    @mlflow.trace
    def items(n: int) -> Iterator[int]:
        yield from range(n)

    @mlflow.trace
    def other() -> str:
        return "x"

    @mlflow.trace
    async def later(n: int) -> Any:
        for i in range(n):
            yield i

    async def take() -> list[int]:
        return [i async for i in later(2)]

    generator = items(2)
    assert next(generator) == 0
    other()
    assert list(generator) == [1]
    assert asyncio.run(take()) == [0, 1]
    traces = mlflow.search_traces(return_type="list")
    assert sorted((trace.name, len(trace.spans)) for trace in traces) == [("items", 1), ("later", 1), ("other", 1)]


def test_generators_are_what_they_were() -> None:
    """What is sent and thrown into them arrives, also through a context manager."""
    import contextlib

    seen: list[Any] = []

    @contextlib.contextmanager
    @mlflow.trace
    def collect_one() -> Iterator[int]:
        try:
            seen.append((yield 1))
        except ValueError as error:
            seen.append(str(error))

    with collect_one():
        pass
    with collect_one():
        raise ValueError("thrown")

    @mlflow.trace
    async def echo() -> Any:
        said = yield "first"
        yield said

    async def talk() -> list[Any]:
        generator = echo()
        return [await anext(generator), await generator.asend("second"), await generator.aclose()]

    assert asyncio.run(talk()) == ["first", "second", None]
    assert seen == [None, "thrown"]


def test_a_run_within_itself_and_evaluations_in_another_cell(prompt: pr.PromptVersion) -> None:
    """Both ends end it; metrics of an evaluation go to the run that another cell began; metrics from threads never clash."""
    run = mlflow.start_run()
    mlflow.start_run(run_id=run.info.run_id, nested=True)
    mlflow.end_run()
    assert mlflow.active_run() is run
    mlflow.end_run()
    assert mlflow.active_run() is None
    run = contextvars.copy_context().run(mlflow.start_run)
    rows = [{"inputs": {"q": 1}, "outputs": "card"}]
    found = contextvars.copy_context().run(mlflow.genai.evaluate, data=rows, scorers=[ResponseLength(max_length=4)])
    assert found.run_id == run.info.run_id
    threads = [threading.Thread(target=pr.in_context(log_often), args=(run.info.run_id, i)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run.data.metrics["loss"] == 19
    assert FAILED == []


FAILED: list[Exception] = []


def log_often(run_id: str, offset: int) -> None:
    from prompt_registry_plugin.registry.tracked_runs import note

    try:
        for i in range(20):
            note(run_id, "metrics", {"loss": i})
    except Exception as error:
        FAILED.append(error)


def test_runs_in_threads_and_scripts(tmp_path: Path) -> None:
    """Values from worker threads that work for a run go to it; a script's run has finished when the script has; tags may change."""
    with mlflow.start_run(tags={"a": 1}) as run:
        threads = [threading.Thread(target=pr.in_context(mlflow.log_metric), args=(f"m{i}", i)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        mlflow.set_tag("a", 2)
    assert len(run.data.metrics) == 8
    assert run.data.tags == {"a": "2"}
    mlflow.log_metric("late", 1)
    assert "late" not in run.data.metrics
    mlflow.end_run()
    done = run_python(
        "import prompt_registry_plugin.mlflow as m; print(m.start_run().run_id); m.log_metric('x', 1)", cwd=tmp_path
    )
    assert mlflow.get_run(done.stdout.strip()).info.status == "FINISHED", done.stderr
    with pytest.raises(pr.UserError, match="no tracked run 'nope'"):
        mlflow.start_run(run_id="nope")


def test_a_client_has_a_registry_of_its_own(tmp_path: Path) -> None:
    """Two clients of two registries do not meet, nor the one of the process."""
    clients = [MlflowClient(tracking_uri=f"sqlite:///{tmp_path / name}.db") for name in "ab"]
    for client, text in zip(clients, "ab", strict=True):
        client.register_prompt("p", text)
    assert [client.load_prompt("p").template for client in clients] == ["a", "b"]  # type: ignore[union-attr]
    assert mlflow.genai.load_prompt("prompts:/p", allow_missing=True) is None
    for client in clients:
        client._registry.close()  # type: ignore[union-attr]


def test_optimizing(prompt: pr.PromptVersion) -> None:
    """A version for each URI, in order; a prompt that nothing improves stays what it was; scores are of held-out rows."""
    mlflow.genai.register_prompt("unused_words", "Be kind. {{text}}")
    poor = mlflow.genai.register_prompt(
        "classify", [{"role": "system", "content": "Which is it: card or loan?"}, {"role": "user", "content": "{{text}}"}]
    )

    def both(text: str) -> str:
        mlflow.genai.load_prompt("prompts:/unused_words").format(text=text)
        return classify(text)

    @scorer
    def exact(outputs: str, expectations: dict[str, Any]) -> pr.Feedback:
        wanted, ok = expectations["expected_response"], outputs == expectations["expected_response"]
        return pr.Feedback(float(ok), [pr.Item(f"the answer should be {wanted}", ok, component="classify", key=wanted)])

    result = mlflow.genai.optimize_prompts(
        predict_fn=both,
        train_data=MORE,
        prompt_uris=["prompts:/unused_words@latest", poor.uri],
        optimizer=GepaPromptOptimizer(reflection_model="openai:/gpt-5", max_metric_calls=60),
        scorers=[exact],
    )
    assert [p.name for p in result.optimized_prompts] == ["unused_words", "classify"]
    assert result.optimizer_name == "GepaPromptOptimizer"
    assert result.result.rollouts <= 60
    better = result.optimized_prompts[1]
    assert (better.version, better.parent) == (3, 2)
    assert result.initial_eval_score is not None
    assert result.final_eval_score is not None
    assert result.final_eval_score > result.initial_eval_score


def test_aggregation_and_scorers_as_the_guides_write_them(prompt: pr.PromptVersion) -> None:
    """Expectations answer as the expected text; yes and no, and feedback with a value, are scores."""

    @scorer
    def accuracy(outputs: Any, expectations: dict[str, Any]) -> float:
        return 1.0 if outputs.lower() == expectations.lower() else 0.0

    @scorer(name="polite")
    def rate(outputs: str) -> Feedback:
        return Feedback(value="yes" in "yes", rationale="so it is")

    @scorer
    def word(outputs: str, inputs: dict[str, Any]) -> str:
        return "no"

    def objective(scores: dict[str, Any]) -> float:
        return 0.7 * scores["accuracy"] + 0.3 * scores["polite"] + 0 * scores["word"]

    result = mlflow.genai.optimize_prompts(
        predict_fn=classify,
        train_data=ROWS,
        prompt_uris=[prompt.uri],
        optimizer=GepaPromptOptimizer(reflection_model="openai:/gpt-5", max_metric_calls=20),
        scorers=[accuracy, rate, word],
        aggregation=objective,
    )
    assert result.initial_eval_score is not None  # of training rows: there are too few to hold some out
    assert result.final_eval_score is not None
    assert "no held-out examples" in result.because or "baseline is the best" in result.because
    with pytest.raises(pr.errors.InvalidScore, match="no attribute 'strange'"):
        mlflow.genai.evaluate(data=ROWS, predict_fn=classify, scorers=[scorer(lambda expectations: expectations.strange)])
    with pytest.raises(pr.UserError, match="aggregations"):
        scorer(aggregations=["mean"])


def test_an_optimizer_of_ones_own_and_metaprompt(prompt: pr.PromptVersion, caplog: pytest.LogCaptureFixture) -> None:
    """`BasePromptOptimizer` as MLflow has it, without a reflection model of ours; metaprompt without data."""

    class Mine(BasePromptOptimizer):
        def optimize(self, eval_fn: Any, train_data: Any, target_prompts: Any, enable_tracking: bool = True) -> Any:
            made = {name: f"Answer with the label only. {text}" for name, text in target_prompts.items()}
            before, after = (eval_fn(prompts, train_data) for prompts in (target_prompts, made))
            assert {record.inputs["text"] for record in before} == {row["inputs"]["text"] for row in ROWS}  # type: ignore[index]
            assert len(after) == len(ROWS)
            return PromptOptimizerOutput(optimized_prompts=made)

    result = mlflow.genai.optimize_prompts(
        predict_fn=classify, train_data=ROWS, prompt_uris=[prompt.uri], optimizer=Mine(), scorers=[Correctness()]
    )
    assert str(result.optimized_prompts[0].template).startswith("Answer with the label only.")
    assert result.optimizer_name == "Mine"
    rewritten = mlflow.genai.optimize_prompts(
        prompt_uris=[prompt.uri], optimizer=MetaPromptOptimizer(reflection_model="openai:/gpt-5", guidelines="Be brief.")
    )
    assert rewritten.optimized_prompts[0].name == "classify"
    mlflow.genai.optimize_prompts(
        prompt_uris=[prompt.uri], optimizer=MetaPromptOptimizer(reflection_model="openai:/gpt-5", lm_kwargs={"a": 1})
    )
    assert "Model 'gpt-5' is asked without 'a'" in caplog.text
    with pytest.raises(pr.UserError, match=r"GepaPromptOptimizer\(…\)"):
        mlflow.genai.optimize_prompts(prompt_uris=[prompt.uri], optimizer=GepaPromptOptimizer)


def test_evaluating(prompt: pr.PromptVersion) -> None:
    """With a function, and on answers that stand in the rows, in a frame or in traces; metrics are noted in the run."""
    scorers = [RegexMatch(pattern="CARD|LOAN", match_type="fullmatch", case_insensitive=True), ResponseLength(max_length=4)]
    with mlflow.start_run() as run:
        found = mlflow.genai.evaluate(data=ROWS, predict_fn=classify, scorers=scorers)
    assert found.metrics == {"regex_match/mean": 1, "response_length/mean": 1} == run.data.metrics
    assert list(found.tables["eval_results"]["outputs"]) == [rollout.outputs for rollout in found.result.rollouts]
    rows = [{"inputs": {"q": 1}, "outputs": "card"}, {"inputs": {"q": 2}, "outputs": "something else"}]
    assert mlflow.genai.evaluate(data=rows, scorers=scorers).metrics["regex_match/mean"] == 0.5
    pandas = pytest.importorskip("pandas")
    assert mlflow.genai.evaluate(data=pandas.DataFrame(rows), scorers=scorers).metrics["regex_match/mean"] == 0.5
    alike = [{"inputs": {"q": 1}, "outputs": said} for said in ("card", "something else")]
    assert [r.outputs for r in mlflow.genai.evaluate(data=alike, scorers=scorers).result.rollouts] == ["card", "something else"]
    with pytest.raises(pr.errors.InvalidExample, match="row 1 has no outputs"):
        mlflow.genai.evaluate(data=ROWS, scorers=scorers)
    traced = mlflow.trace(classify)
    traced("my plastic was stolen")
    traces = mlflow.search_traces()
    assert mlflow.genai.evaluate(data=traces, scorers=scorers).metrics["regex_match/mean"] == 1
    mlflow.log_expectation(trace_id=traces["trace_id"][0], name="expected_response", value="loan")

    @scorer
    def seen(trace: pr.Trace, outputs: str, expectations: dict[str, Any]) -> bool:
        return trace.id != "" and len(trace.spans) == 2 and (outputs, expectations["expected_response"]) == ("card", "loan")

    assert mlflow.genai.evaluate(data=traces, scorers=[seen]).metrics["seen/mean"] == 1
    judged = mlflow.genai.evaluate(data=rows, scorers=[Guidelines(guidelines="Be brief."), Safety(model="openai:/gpt-5")])
    assert judged.metrics == {"guidelines/mean": 1, "safety/mean": 1}


def test_a_prompt_with_a_model_is_a_model(prompt: pr.PromptVersion) -> None:
    """Saved tries, prompts with a model, and functions that can be imported, behind `predict`."""
    params = {"user": "me", "temperature": 0}
    [tried] = pr.try_prompts("classify", {"text": "my plastic was stolen"}, models=["openai:gpt-x"], params=params, save=True)
    assert tried.output == "card"
    frame = mlflow.load_table(artifact_file="eval_results_table.json", extra_columns=["run_id"])
    assert list(frame["output"]) == ["card"]
    assert "run_id" not in mlflow.load_table().columns
    uri = f"runs:/{frame['run_id'][0]}/model"
    assert mlflow.pyfunc.load_model(uri).predict({"text": "interest of my debt"}) == ["loan"]
    made = mlflow.register_model(model_uri=uri, name="classifier")
    assert made.model_config is not None
    assert made.model_config["model_name"] == "gpt-x"
    loaded = mlflow.pyfunc.load_model("models:/classifier/1")
    assert loaded.predict([{"text": "interest of my debt"}, {"text": "my plastic was stolen"}]) == ["loan", "card"]
    with pytest.raises(pr.UserError, match="needs 'text'"):
        loaded.predict({"other": 1})
    with mlflow.start_run():
        noted = mlflow.pyfunc.log_model(name="agent", python_model=classify)
    assert mlflow.pyfunc.load_model(noted.model_uri).predict({"text": "my plastic was stolen"}) == ["card"]
    with pytest.raises(pr.UserError, match="runs:/RUN/model"):
        mlflow.pyfunc.load_model("somewhere")


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("mlflow.evaluate", "mlflow.genai.evaluate"),
        ("mlflow.langchain", "enable"),
        ("mlflow.log_artifact", "create_dataset"),
        ("mlflow.pyfunc.save_model", "predict_fn"),
        ("mlflow.genai.scorers.UserFrustration", "Judge"),
        ("mlflow.genai.make_judge", "Judge"),
        ("mlflow.MlflowClient().create_prompt", "register_prompt"),
    ],
)
def test_what_is_not_carried_says_what_to_use(name: str, instead: str) -> None:
    """By attribute and by import; names that nobody has are as unknown as elsewhere."""
    with pytest.raises(NotCarried, match=instead):
        eval(name)
    with pytest.raises(NotCarried, match="is not carried over"):
        from prompt_registry_plugin.mlflow import autolog  # noqa: F401
    assert not hasattr(mlflow, "no_such_name")
    assert not hasattr(MlflowClient(), "no_such_name")


def test_where_it_keeps_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry is chosen by its URL; a server or folder of MLflow's is told, with how to bring its prompts along."""
    monkeypatch.setenv("PROMPT_REGISTRY_URL", os.environ["PROMPT_REGISTRY_URL"])
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'other.db'}")
    mlflow.genai.register_prompt("here", "x")
    assert (tmp_path / "other.db").exists()
    assert mlflow.get_tracking_uri().endswith("other.db")
    for uri in ("http://127.0.0.1:5000", "databricks", "mlruns"):
        with pytest.raises(pr.UserError, match="prompt-registry import mlflow"):
            mlflow.set_tracking_uri(uri)


def test_mlflow_itself_is_not_needed() -> None:
    """The layer imports no mlflow."""
    done = run_python("import prompt_registry_plugin.mlflow as m, sys; print('mlflow' in sys.modules, m.genai.register_prompt)")
    assert done.stdout.startswith("False"), done.stderr


DOCUMENT = """
# A guide
```python
import mlflow
from mlflow.genai.optimize import GepaPromptOptimizer
prompt = mlflow.genai.register_prompt(name="a", template="x {{y}}")
```
1. indented
   ```python
   print(mlflow.genai.load_prompt("prompts:/b@production").template, previous_version)
   ```
```python
%pip install mlflow
```
```python
result = mlflow.genai.optimize_prompts(...)
```
```python
prompts:
  a: b
```
```python
from mlflow import sagemaker
```
"""


def test_documents_run_unedited(tmp_path: Path) -> None:
    """Of each block it is said whether it works, what was stood in for, and why not; a block that fails is an exit code."""
    path = tmp_path / "guide.md"
    path.write_text(DOCUMENT)
    command = [sys.executable, "-m", "examples.documents", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=HANG)
    assert done.returncode == 1, done.stderr
    outcomes = json.loads(done.stdout)
    assert [o["state"] for o in outcomes] == ["ok", "ok", "no program", "ok", "no program", "failed"]
    assert outcomes[1]["stood_in"] == ["b/1", "b@production", "previous_version"]
    assert "arguments left out" in outcomes[3]["why"]
    assert "sagemaker" in outcomes[5]["why"]
