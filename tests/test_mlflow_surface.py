"""MLflow's exceptions, entities and calls that programs make: on our registry, with MLflow's meaning wherever it is safe."""

from __future__ import annotations

import json
import logging
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import prompt_registry_plugin as pr
import prompt_registry_plugin.mlflow as mlflow
from prompt_registry_plugin.mlflow import MlflowClient, MlflowException, NotCarried
from prompt_registry_plugin.mlflow.entities.model_registry import Prompt, PromptModelConfig, PromptVersion
from prompt_registry_plugin.mlflow.exceptions import RestException
from prompt_registry_plugin.mlflow.genai.optimize.types import PromptOptimizerOutput
from prompt_registry_plugin.mlflow.tracking import MlflowClient as SameClient
from tests.conftest import run_python


@pytest.fixture(autouse=True)
def default_experiment() -> Iterator[None]:
    yield
    mlflow.set_experiment("Default")
    while mlflow.active_run() is not None:
        mlflow.end_run()


def raised_by(call: Callable[[], Any]) -> MlflowException:
    with pytest.raises(MlflowException) as caught:
        call()
    return caught.value


MISTAKES: list[tuple[Callable[[], Any], type[Exception], str, str]] = [
    (
        lambda: mlflow.genai.load_prompt("nope"),
        pr.errors.PromptNotFound,
        "RESOURCE_DOES_NOT_EXIST",
        "Prompt with name=nope not found",
    ),
    (
        lambda: mlflow.genai.load_prompt("prompts:/there/9"),
        pr.errors.PromptNotFound,
        "RESOURCE_DOES_NOT_EXIST",
        "Prompt (name=there, version=9) not found",
    ),
    (
        lambda: mlflow.genai.load_prompt("prompts:/there@live"),
        LookupError,
        "RESOURCE_DOES_NOT_EXIST",
        "Prompt alias live not found",
    ),
    (lambda: mlflow.genai.register_prompt("a b", "x"), pr.errors.InvalidName, "INVALID_PARAMETER_VALUE", "'a b'"),
    (lambda: mlflow.genai.register_prompt("a", ""), pr.errors.InvalidTemplate, "INVALID_PARAMETER_VALUE", "empty"),
    (
        lambda: mlflow.genai.register_prompt("a", [{"content": "x"}]),
        ValueError,
        "INVALID_PARAMETER_VALUE",
        "list of dicts with role and content",
    ),
    (lambda: mlflow.genai.set_prompt_alias("there", "latest", 1), pr.UserError, "INVALID_PARAMETER_VALUE", "reserved"),
    (lambda: mlflow.genai.search_prompts("what"), pr.errors.InvalidFilter, "INVALID_PARAMETER_VALUE", "filter"),
    (lambda: mlflow.genai.load_prompt("there").format(), KeyError, "INVALID_PARAMETER_VALUE", "Missing variables: {'x'}"),
    (lambda: mlflow.genai.datasets.get_dataset("nope"), pr.errors.DatasetNotFound, "RESOURCE_DOES_NOT_EXIST", "nope"),
    (lambda: mlflow.get_run("nope"), pr.UserError, "INVALID_PARAMETER_VALUE", "nope"),
    (lambda: MlflowClient().delete_prompt("nope"), pr.errors.PromptNotFound, "RESOURCE_DOES_NOT_EXIST", "name=nope not found"),
    (lambda: MlflowClient().delete_prompt_version("there", "9"), LookupError, "RESOURCE_DOES_NOT_EXIST", "version=9) not found"),
    (
        lambda: MlflowClient().link_prompt_version_to_run("r", 1),
        Exception,
        "INVALID_PARAMETER_VALUE",
        "`prompt` argument must be",
    ),  # type: ignore[arg-type]
    (lambda: MlflowClient().create_registered_model, NotCarried, "NOT_IMPLEMENTED", "agents are code"),
]


@pytest.mark.parametrize(("call", "kind", "code", "words"), MISTAKES)
def test_every_error_is_an_mlflow_exception_with_a_code_and_one_of_ours(
    call: Callable[[], Any], kind: type[Exception], code: str, words: str
) -> None:
    """Whichever of the two a program catches; the message begins in MLflow's words where programs look for these."""
    mlflow.genai.register_prompt("there", "say {{x}}")
    error = raised_by(call)
    assert isinstance(error, kind)
    assert isinstance(error, RestException)
    assert (error.error_code, error.get_http_status_code()) == (code, {"NOT": 501, "INV": 400, "RES": 404}[code[:3]])
    assert words in str(error) == error.message
    assert json.loads(error.serialize_as_json()) == {"error_code": code, "message": error.message}


def test_such_an_error_travels_between_processes() -> None:
    """A worker of a pool sends it back whole."""
    error = raised_by(lambda: mlflow.genai.load_prompt("nope"))
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, pr.errors.PromptNotFound)
    assert (type(again), again.error_code, str(again)) == (type(error), error.error_code, str(error))


def test_a_version_is_ours_and_mlflows() -> None:
    """One object with both libraries' attributes; aliases compare with a list; made by hand it renders as a loaded one."""
    version = mlflow.genai.register_prompt("p", "say {{x}}", "why", {"a": "b"})
    mlflow.genai.set_prompt_alias("p", "live", 1)
    version = mlflow.genai.load_prompt("prompts:/p@live")
    assert isinstance(version, pr.PromptVersion)
    assert version.aliases == ["live"]
    assert (version.description, version.user_id, version.tags) == ("why", version.created_by, {"a": "b"})
    assert version.creation_timestamp == version.last_updated_timestamp == int(version.created_at.timestamp() * 1000)
    assert dict(version)["uri"] == "prompts:/p/1"
    assert version == pr.load_prompt("p")
    assert pickle.loads(pickle.dumps(version)) == version
    assert len({version, mlflow.genai.load_prompt("p")}) == 1
    made = PromptVersion("p", 1, "say {{x}}", "why", 1000, {"a": "b"}, ["live"], None, "ann", None, {"temperature": 0})
    assert (made.format(x=1), made.creation_timestamp, made.user_id) == ("say 1", 1000, "ann")
    partly = PromptVersion("p", 1, "{{a}} {{b}}").format(a="{{b}}", allow_partial=True)
    assert (type(partly), partly.format(b=2)) == (PromptVersion, "{{b}} 2")


def test_optional_variables_of_jinja_and_the_sandbox(caplog: pytest.LogCaptureFixture) -> None:
    """What a template asks for in a condition may be missing, in a text or a message; nothing leaves the sandbox, which is said."""
    mlflow.genai.register_prompt("t", "Hello {% if name %}{{ name }}{% else %}Guest{% endif %}")
    loaded = mlflow.genai.load_prompt("t")
    assert (loaded.format(), loaded.format(name="Ann")) == ("Hello Guest", "Hello Ann")
    chat = [{"role": "user", "content": "{% if formal %}Dear Sir{% else %}Hey{% endif %}, {{ q }}"}]
    mlflow.genai.register_prompt("c", chat)
    assert mlflow.genai.load_prompt("c").format(q="?") == [{"role": "user", "content": "Hey, ?"}]
    mlflow.genai.register_prompt("unsafe", "{% if ''.__class__.__name__ == 'str' %}x{% endif %}")
    with caplog.at_level(logging.WARNING):
        error = raised_by(lambda: mlflow.genai.load_prompt("unsafe").format(use_jinja_sandbox=False))
    assert "__class__" in str(error)
    assert "use_jinja_sandbox=False has no effect" in caplog.text


def test_model_settings_are_checked_and_set_beside_a_version() -> None:
    """Of a mapping or an object; the version itself does not change, so what was tested is what the library serves."""
    config = PromptModelConfig(model_name="m", temperature=0.5, extra_params={"stream": True})
    mlflow.genai.register_prompt("p", "x", model_config=config)
    before = pr.load_prompt("p")
    assert before.model_config == {"model_name": "m", "temperature": 0.5, "stream": True}
    mlflow.genai.set_prompt_model_config("p", 1, {"model_name": "n", "odd": 1})
    assert mlflow.genai.load_prompt("p").model_config == {"model_name": "n", "odd": 1}
    assert mlflow.genai.load_prompt("p").tags == {}
    assert pr.load_prompt("p").content_hash == before.content_hash
    MlflowClient().delete_prompt_model_config("p", "1")
    assert mlflow.genai.load_prompt("p").model_config is None
    for wrong in ({"max_tokens": 0}, {"temperature": -1}):
        with pytest.raises(ValidationError):
            mlflow.genai.set_prompt_model_config("p", 1, wrong)
    with pytest.raises(ValidationError):
        PromptModelConfig(stop_sequences=["a", 1])  # type: ignore[list-item]


def test_settings_without_pydantic_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the layer works without it."""
    mlflow.genai.register_prompt("p", "x")
    monkeypatch.delitem(sys.modules, "prompt_registry_plugin.mlflow.entities.model_registry.prompt_model_config")
    monkeypatch.setitem(sys.modules, "pydantic", None)
    with pytest.raises(pr.errors.PluginError, match=r"needs pydantic, .*\[config\]"):
        mlflow.entities.model_registry.PromptModelConfig  # noqa: B018
    assert "pydantic" in str(raised_by(lambda: mlflow.genai.set_prompt_model_config("p", 1, {"temperature": 0})))


SETTINGS = st.dictionaries(st.sampled_from(["model_name", "provider", "odd", "other"]), st.text(max_size=5), max_size=4)


@given(SETTINGS)
def test_model_settings_survive_their_object(settings: dict[str, str]) -> None:
    """`from_dict` and `to_dict` are each other's inverse, also for settings that have no field."""
    assert PromptModelConfig.from_dict(settings).to_dict() == settings


def test_prompts_as_wholes_and_their_deletion() -> None:
    """`get_prompt`, tags on both levels as MLflow sets them, and deleting a version and a prompt."""
    client = SameClient()
    client.register_prompt("p", "one", tags={"a": "1"})
    client.register_prompt("p", "two", tags={"a": "2"})
    client.set_prompt_tag("p", "team", "x")
    found = client.get_prompt("p")
    assert isinstance(found, Prompt)
    assert (found.name, found.tags, dict(found)["description"]) == ("p", {"a": "2", "team": "x"}, None)
    assert found.creation_timestamp is not None
    assert client.get_prompt_version("p", 1).tags == {"a": "1"}
    client.delete_prompt_tag("p", "team")
    client.set_prompt_version_tag("p", "1", "k", "v")
    assert (client.get_prompt_version("p", "1").tags, mlflow.genai.get_prompt_tags("p")) == ({"a": "1", "k": "v"}, {"a": "2"})
    client.delete_prompt_version("p", "1")
    assert [version.version for version in client.search_prompt_versions("p")] == [2]
    assert client.search_prompts().token is None
    client.delete_prompt("p")
    assert client.get_prompt("p") is None
    with pytest.raises(MlflowException, match="not found"):
        client.delete_prompt("p")


def test_versions_may_be_deleted_before_their_prompt() -> None:
    """As Unity Catalog asks for: the prompt goes with its last version, and to delete it then is no error."""
    client = MlflowClient()
    for text in ("one", "two"):
        client.register_prompt("p", text)
    client.set_prompt_alias("p", "live", 2)
    assert "points at" in str(raised_by(lambda: client.delete_prompt_version("p", 2)))
    client.delete_prompt_alias("p", "live")
    for version in client.search_prompt_versions("p"):
        client.delete_prompt_version("p", str(version.version))
    assert client.get_prompt("p") is None
    client.delete_prompt("p")
    assert client.register_prompt("p", "three").version == 3


@pytest.mark.parametrize(
    ("rows", "words"), [([{"outputs": "x"}], "`inputs` or `trace`"), ([{"inputs": {"q": 1}}, {"inputs": {}}], "Record 1")]
)
def test_rows_without_inputs_are_told_as_mlflow_tells_them(rows: list[Any], words: str) -> None:
    """Before anything is run."""
    prompt = mlflow.genai.register_prompt("p", "x {{q}}")
    optimizer = mlflow.genai.optimize.MetaPromptOptimizer(reflection_model="openai:/gpt-5")
    scorer = mlflow.genai.scorers.ResponseLength(max_length=4)
    error = raised_by(
        lambda: mlflow.genai.optimize_prompts(
            predict_fn=str,
            train_data=rows,
            prompt_uris=[prompt.uri],
            optimizer=optimizer,
            scorers=[scorer],
        )
    )
    assert (words in str(error), error.error_code) == (True, "INVALID_PARAMETER_VALUE")


def links(run: Any) -> list[dict[str, str]]:
    return list(json.loads(run.data.tags.get("mlflow.linkedPrompts", "[]")))


def test_a_run_knows_which_prompts_it_used() -> None:
    """Loaded in any thread while it is active, or noted by hand, each once; a loop that loads writes once."""
    for name in ("p", "q"):
        mlflow.genai.register_prompt(name, "x")
    with mlflow.start_run() as run:
        threads = [threading.Thread(target=mlflow.genai.load_prompt, args=("p",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        mlflow.genai.load_prompt("p")
    mlflow.genai.load_prompt("q")
    assert links(run) == [{"name": "p", "version": "1"}]
    client = MlflowClient()
    other = client.create_run(client.create_experiment("e"), run_name="n", tags={"t": 1})
    client.log_param(other.info.run_id, "a", 1)
    client.log_metric(other.info.run_id, "m", 1)
    client.set_tag(other.info.run_id, "t", 2)
    client.link_prompt_version_to_run(other.info.run_id, "prompts:/q/1")
    client.link_prompt_version_to_run(other.info.run_id, mlflow.genai.load_prompt("p"))
    client.set_terminated(other.info.run_id)
    assert [version.name for version in client.list_logged_prompts(other.info.run_id)] == ["q", "p"]
    client.detach_prompt_from_run(other.info.run_id, "prompts:/q/1")
    assert links(client.get_run(other.info.run_id)) == [{"name": "p", "version": "1"}]
    assert "not associated" in str(raised_by(lambda: client.detach_prompt_from_run(other.info.run_id, "prompts:/q/1")))
    assert (other.info.status, other.info.experiment_id, other.data.params) == ("FINISHED", "e", {"a": "1"})


def test_blocks_are_spans() -> None:
    """`start_span` records a block with inputs, outputs, attributes and the prompts that were loaded in it; nested ones are one trace."""
    mlflow.genai.register_prompt("p", "say {{x}}")
    with mlflow.start_span("outer", attributes={"k": 1}) as outer:
        outer.set_inputs({"q": "?"})
        with mlflow.start_span("inner") as inner:
            assert inner.trace_id == outer.trace_id
            mlflow.genai.load_prompt("p").format(x=1)
            mlflow.genai.load_prompt("p")
        outer.set_outputs("!")
    assert json.loads(inner.attributes["mlflow.linkedPrompts"]) == [{"name": "p", "version": "1"}]
    assert "mlflow.linkedPrompts" not in outer.attributes
    trace = mlflow.get_trace(outer.trace_id)
    assert trace is not None
    assert [span.name for span in trace.spans if span.kind == "chain"] == ["outer", "inner"]
    assert {"k": 1, "inputs": {"q": "?"}, "output": "!"}.items() <= trace.spans[0].attributes.items()
    with pytest.raises(ZeroDivisionError), mlflow.start_span("fails") as failing:
        _ = 1 / 0
    failed = mlflow.get_trace(failing.trace_id)
    assert failed is not None
    assert "ZeroDivisionError" in str(failed.spans[0].error)


def test_filters_of_mlflow() -> None:
    """Catalog and schema are the first parts of a name; an experiment finds the prompts that were registered or loaded in it."""
    for name in ("main.shop.a", "main.shop.b", "main.shopx.c", "mainxshop.d"):
        mlflow.genai.register_prompt(name, "x")
    found = mlflow.genai.search_prompts("catalog = 'main' AND schema = 'shop'")
    assert {version.name for version in found} == {"main.shop.a", "main.shop.b"}
    assert [v.name for v in mlflow.genai.search_prompts("catalog='main' AND schema='shop' AND name LIKE '%b'")] == ["main.shop.b"]
    assert [v.version for v in mlflow.genai.search_prompts('name = "main.shop.a"')] == [1]
    mlflow.set_experiment("first")
    mlflow.genai.register_prompt("mine", "x")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("second"))
    mlflow.genai.load_prompt("mine")
    mlflow.genai.load_prompt("mine")
    for experiment, names in (("first", ["mine"]), ("second", ["mine"]), ("fir", []), ("third", [])):
        wanted = f'experiment_id = "{experiment}" AND name != "experiment_id = \'x\'"'
        assert [version.name for version in MlflowClient().search_prompts(filter_string=wanted)] == names


def test_registries_of_databricks_are_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program that names one goes on, in the registry that it has, and is told where that is; an address of ours is used."""
    with caplog.at_level(logging.WARNING):
        mlflow.set_registry_uri("databricks-uc")
        mlflow.set_registry_uri("databricks-uc")
        MlflowClient(registry_uri="databricks-uc").register_prompt("p", "x")
    assert caplog.text.count("changes nothing") == 1
    assert mlflow.genai.load_prompt("p").version == 1
    monkeypatch.setenv("PROMPT_REGISTRY_URL", mlflow.get_tracking_uri())
    mlflow.set_registry_uri(f"sqlite:///{tmp_path / 'other.db'}")
    assert mlflow.genai.load_prompt("p", allow_missing=True) is None


def test_the_older_functions_work_and_warn() -> None:
    """As MLflow's do."""
    with pytest.warns(FutureWarning, match=r"The `mlflow.register_prompt` API is moved"):
        mlflow.register_prompt("p", "x")
    with pytest.warns(FutureWarning, match=r"mlflow.genai.load_prompt"):
        assert mlflow.load_prompt("prompts:/p/1").template == "x"


def test_an_optimizer_may_call_its_data_dataset() -> None:
    """As MLflow's own did for a while; a row has its answer as `outputs`, too."""
    prompt = mlflow.genai.register_prompt("p", "Say yes. {{q}}")
    seen: list[Any] = []

    class Mine:
        def optimize(self, eval_fn: Any, dataset: Any, target_prompts: Any, enable_tracking: bool = True) -> Any:
            seen.extend([row["outputs"], row["inputs"]] for row in dataset)
            assert len(eval_fn(target_prompts, dataset)) == len(dataset)
            return PromptOptimizerOutput(optimized_prompts=target_prompts)

    result = mlflow.genai.optimize_prompts(
        predict_fn=lambda q: mlflow.genai.load_prompt("prompts:/p/1").format(q=q)[4:7],
        train_data=[{"inputs": {"q": "a"}, "outputs": "yes"}, {"inputs": {"q": "b"}, "outputs": "yes"}],
        prompt_uris=[prompt.uri],
        optimizer=Mine(),
        scorers=[mlflow.genai.scorer(lambda outputs, expectations: outputs == expectations["expected_response"])],
    )
    assert seen == [["yes", {"q": "a"}], ["yes", {"q": "b"}]]
    assert result.optimized_prompts == [prompt]


def test_a_prompt_is_loaded_where_its_use_cannot_be_noted(
    registry: pr.PromptRegistry, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a database that went away after the prompt was cached: the agent goes on, and the log says what is missing."""
    registry.register_prompt("noted", "Hi")

    def away(*_: Any) -> Any:
        raise pr.errors.StoreUnavailable("the server is away")

    with mlflow.start_run(), monkeypatch.context() as patched:
        patched.setattr("prompt_registry_plugin.registry.tracked_runs.load_run", away)
        assert mlflow.genai.load_prompt("noted", version=1).template == "Hi"
    assert "could not be noted in the run" in caplog.text


@pytest.mark.process
def test_a_script_that_ends_has_ended_all_of_its_runs(tmp_path: Path) -> None:
    url = {"PROMPT_REGISTRY_URL": f"sqlite:///{tmp_path / 'runs.db'}"}
    begin = "import prompt_registry_plugin.mlflow as m; print(*(m.start_run(run_name=n, nested=True).run_id for n in 'abc'))"
    ids = run_python(begin, **url).stdout.split()
    look = f"import prompt_registry_plugin.mlflow as m; print(*(m.get_run(i).info.status for i in {ids}))"
    assert run_python(look, **url).stdout.split() == ["FINISHED"] * 3
