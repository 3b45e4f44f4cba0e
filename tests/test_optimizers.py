"""The other optimizers on the same engine, the limits that hold for all of them, and prompts that are more than one text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.options import Event
from prompt_registry_plugin.optimize import Problem
from prompt_registry_plugin.optimize.engine.constraints import fault_of
from prompt_registry_plugin.optimize.optimizers.mlflow import PromptOptimizerOutput
from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.protocols import OptimizationResult, Optimizer
from tests import simulated_target as target
from tests.test_examples import run as run_example

QUIET = pr.RunOptions(concurrency=8, on_event=lambda event: None)


@pytest.fixture
def arguments() -> dict[str, Any]:
    """A run that finds something, with a proof."""
    return {
        "predict_fn": target.predict, "train_data": target.rows(8), "eval_data": target.rows(4, start=100),
        "prompt_uris": target.register(), "scorers": [target.right], "reflection_model": target.reflect,
        "budget": 250, "options": QUIET,
    }  # fmt: skip


def test_gepa_runs_on_our_engine(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """Its proposals, our budget and proof; each pair is paid once, and proposals that drop nothing are candidates."""
    result = pr.optimize_prompts(**{**arguments, "optimizer": "gepa"})
    assert result.optimizer_name == "gepa"
    assert result.search_score is not None
    assert result.held_out is not None
    assert result.held_out.proven, result.registered_because
    stored = registry.store.runs.rollouts(result.run_id, "train")
    assert len({(r.candidate_id, r.example_id) for r in stored}) == len(stored) == result.rollouts <= 250
    assert any("of gepa" in str(record.detail.get("text")) for record in result.candidates)


async def test_gepa_can_be_stopped_and_goes_on_for_free(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """Rollouts and answers of the first process are not paid for again."""
    import asyncio

    asked: list[str] = []
    done = 0

    def count(event: Event) -> None:
        nonlocal done
        done = max(done, event.done)

    options = pr.RunOptions(concurrency=8, on_event=count)
    task = asyncio.create_task(pr.aoptimize_prompts(**{**arguments, "optimizer": "gepa", "options": options}))
    while done < 120 and not task.done():
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (run,) = registry.store.runs.newest()
    before = registry.store.runs.reflections(run.id)
    result = await pr.aresume_run(run.id, on_event=lambda event: None)
    asked = [record.detail["asked"] for record in registry.store.runs.reflections(run.id)]
    assert before
    assert len(asked) == len(set(asked)), "the scripted model answers the same, so nothing has to be asked twice"
    assert result.rollouts <= 250


def test_metaprompt_rewrites_once_from_failures(arguments: dict[str, Any]) -> None:
    """One reflection a prompt, then a comparison on the validation rows."""
    result = pr.optimize_prompts(**{**arguments, "optimizer": "metaprompt"})
    assert result.reflection_usage.calls in (0, 2)
    assert next(record.status for record in result.candidates) == "baseline"
    assert {"sort", "name"} == {n for n, t in result.winner.templates.items() if t != result.baseline.templates[n]}
    assert result.rollouts < 140


def test_metaprompt_needs_no_data(registry: pr.PromptRegistry) -> None:
    """Zero-shot: nothing is run or proven, so nothing is registered unless told to."""
    asked: list[str] = []

    async def rewrite(messages: Sequence[Mapping[str, Any]]) -> str:
        asked.append(str(messages[0]["content"]))
        return "```\n" + asked[-1].split("```")[1].strip() + " Think of its nature.\n```"

    arguments: dict[str, Any] = {
        "train_data": None, "prompt_uris": target.register(), "reflection_model": rewrite, "optimizer": "metaprompt", "options": QUIET,
    }  # fmt: skip
    result = pr.optimize_prompts(**arguments)
    assert (result.rollouts, result.optimized_prompts, len(asked)) == (0, [], 2)
    assert "no proven gain" in result.registered_because
    registered = pr.optimize_prompts(**arguments, register="always").optimized_prompts
    assert [str(version.template).endswith("Think of its nature.") for version in registered] == [True, True]
    with pytest.raises(pr.errors.InvalidExample, match="learns from examples"):
        pr.optimize_prompts(**{**arguments, "optimizer": "commit_queue"})
    with pytest.raises(pr.UserError, match="predict_fn is needed"):
        pr.optimize_prompts(**{**arguments, "train_data": target.rows(2)})


def test_few_shot_shows_the_best_runs(arguments: dict[str, Any]) -> None:
    """Demonstrations are answers that runs gave, appended to the texts; sets of them race; no reflection is needed."""

    def never(messages: Sequence[Mapping[str, Any]]) -> str:
        raise AssertionError("no reflection is asked for")

    def by_name(text: str) -> dict[str, str]:
        said = target.predict(text)
        return {**said, "sort": said["kind"], "name": said["size"]}

    result = pr.optimize_prompts(**{**arguments, "predict_fn": by_name, "optimizer": "few_shot", "reflection_model": never})
    demonstrated = [record.candidate for record in result.candidates if "demonstrations" in record.candidate.note]
    assert len(demonstrated) >= 3
    for candidate in demonstrated:
        said = str(candidate.templates["sort"])
        assert said.startswith(target.SORT + "\n\nExamples:\n\ntext: ")
        assert set(re.findall(r"Answer: (\w+)", said)) <= {"animal", "plant"}
    assert result.rollouts <= 250


def test_few_shot_gives_a_chat_prompt_exchanges(arguments: dict[str, Any]) -> None:
    """As messages of user and assistant, after the system message and instead of those that it had."""
    old = [{"role": "user", "content": "text: cow"}, {"role": "assistant", "content": "animal"}]
    chat = [{"role": "system", "content": target.SORT}, *old, {"role": "user", "content": "{{text}}"}]
    pr.register_prompt("chat", chat)

    def predict(text: str) -> dict[str, str]:
        system, *_, question = pr.load_prompt("chat", 1).format(text=text)
        said = target.answer([system, question], 0)
        return {"kind": said, "size": target.predict(text)["size"], "chat": said}

    changes = {"predict_fn": predict, "prompt_uris": ["prompts:/chat/1"], "optimizer": "few_shot"}
    result = pr.optimize_prompts(**{**arguments, **changes})
    made = [record.candidate.templates["chat"] for record in result.candidates if record.candidate.note]
    shown = next(template for template in made if len(template) > 4)
    assert [message["role"] for message in shown] == ["system", *["user", "assistant"] * ((len(shown) - 2) // 2), "user"]
    assert not any(message["content"] == "text: cow" for message in shown)
    assert re.fullmatch(r"text: \w+ number\d+", shown[1]["content"])


async def test_a_tool_description_is_a_component(registry: pr.PromptRegistry) -> None:
    """Named in the tool, improved like any other prompt; the agent stays as it is."""
    from pydantic_ai import Agent, Tool
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models.function import FunctionModel

    pr.enable("pydantic_ai")
    pr.register_prompt("tools/search", "Searches the mail of a user.")
    model = FunctionModel(lambda messages, info: ModelResponse(parts=[TextPart(str(info.function_tools[0].description))]))
    agent = Agent(model, tools=[Tool(lambda: "found", name="search", description="prompts:/tools/search")])

    @pr.scorer
    def says_when(outputs: str) -> pr.Feedback:
        ok = "only for dates" in outputs
        return pr.Feedback(float(ok), [pr.Item("it should say: only for dates", ok, "tools/search", "when")])

    async def reflect(messages: Sequence[Mapping[str, Any]]) -> str:
        return "```\n" + str(messages[0]["content"]).split("```")[1].strip() + " Use it only for dates.\n```"

    result = await pr.aoptimize_prompts(
        predict_fn=agent, train_data=[{"inputs": {"user_prompt": f"question {n}"}} for n in range(40)],
        prompt_uris=["prompts:/tools/search"], scorers=[says_when], reflection_model=reflect, budget=80, options=QUIET,
    )  # fmt: skip
    assert [version.template for version in result.optimized_prompts] == ["Searches the mail of a user. Use it only for dates."]


class Shaped:
    """An optimizer as it is written for MLflow."""

    def __init__(self, *, endless: bool = False, ruin: bool = False) -> None:
        self.endless, self.ruin = endless, ruin
        self.seen: list[Any] = []

    def optimize(
        self, eval_fn: Any, train_data: list[dict[str, Any]], target_prompts: dict[str, str], enable_tracking: bool = True
    ) -> PromptOptimizerOutput:
        """Teaches both prompts what it knows of the world."""
        before = eval_fn(target_prompts, train_data)
        self.seen += before
        taught = {
            "sort": target_prompts["sort"] + "\n- plant: " + ", ".join(sorted(target.PLANTS)),
            "name": target_prompts["name"] + "\n- big_one: " + ", ".join(target.BIG),
        }
        if self.ruin:
            taught["sort"] = "{{invented}}"
        after = eval_fn(taught, train_data)
        while self.endless:
            taught = {**taught, "sort": taught["sort"] + "."}
            eval_fn(taught, train_data)
        return PromptOptimizerOutput(taught, *(sum(r.score for r in records) / len(records) for records in (before, after)))


def test_an_optimizer_written_for_mlflow_works_unchanged(arguments: dict[str, Any]) -> None:
    """It gets records of the shape that it knows; its score is reported as its own, and the proof is ours."""
    shaped = Shaped()
    result = pr.optimize_prompts(**{**arguments, "optimizer": shaped, "budget": 300})
    assert result.optimizer_name == "Shaped"
    assert result.held_out is not None
    assert result.held_out.proven
    record = shaped.seen[0]
    assert set(record.inputs) == {"text"}
    assert record.individual_scores == {"right": record.score}
    assert [version.name for version in result.optimized_prompts] == ["sort", "name"]


def test_a_budget_ends_an_optimizer_written_for_mlflow(arguments: dict[str, Any]) -> None:
    """With the best of what it evaluated; and what it may not propose is an error in words."""
    result = pr.optimize_prompts(**{**arguments, "optimizer": Shaped(endless=True), "budget": 600})
    assert result.rollouts <= 600
    assert result.winner.id != result.baseline.id
    with pytest.raises(pr.UserError, match=r"sort cannot be used: it invents the variable"):
        pr.optimize_prompts(**{**arguments, "optimizer": Shaped(ruin=True), "budget": 300})


@pytest.mark.process
def test_the_example_of_an_optimizer_of_ones_own(tmp_path: Any) -> None:
    """It runs as it stands."""
    assert re.search(r"<optimization run \S+: .*rollouts; registered", run_example("custom_optimizer", tmp_path))


# --- what an optimizer declares -----------------------------------------------------------------------------------------------------


class Undeclared:
    """An optimizer as it was written for version 0.1.0, without traits."""

    name = "undeclared"

    async def optimize(self, problem: Problem) -> OptimizationResult:
        return OptimizationResult(problem.baseline)


class Declared(Undeclared):
    """One that needs neither a reflection model nor examples."""

    name = "declared"
    reflects = False
    needs_data = False


def test_an_optimizer_that_never_reflects_is_told_to_declare_it(arguments: dict[str, Any]) -> None:
    """Without the trait it is refused with advice for its author; with it, no reflection model is needed."""
    arguments = {**arguments, "reflection_model": None, "eval_data": []}
    with pytest.raises(
        pr.UserError, match=r"'undeclared' needs a reflection_model.*If it never asks one, set `reflects = False` on it"
    ):
        pr.optimize_prompts(**{**arguments, "optimizer": Undeclared()})
    assert pr.optimize_prompts(**{**arguments, "optimizer": Declared()}).optimizer_name == "declared"
    assert pr.optimize_prompts(**{**arguments, "optimizer": Undeclared(), "reflection_model": target.reflect})
    with pytest.raises(pr.UserError, match=r"'commit_queue' needs a reflection_model: .* function of the messages\.$"):
        pr.optimize_prompts(**arguments)


def test_an_optimizer_that_needs_no_examples_declares_it(arguments: dict[str, Any]) -> None:
    """The same for examples."""
    arguments = {**arguments, "train_data": None, "eval_data": None}
    with pytest.raises(pr.errors.InvalidExample, match=r"If it needs no examples, set `needs_data = False` on it"):
        pr.optimize_prompts(**{**arguments, "optimizer": Undeclared()})
    assert pr.optimize_prompts(**{**arguments, "optimizer": Declared()}).rollouts == 0


def test_a_trait_is_true_or_false(arguments: dict[str, Any]) -> None:
    """Anything else is a mistake, and not a yes."""
    optimizer = Declared()
    optimizer.reflects = "no"  # type: ignore[assignment]
    with pytest.raises(pr.UserError, match=r"declares reflects = 'no'. It has to be True or False"):
        pr.optimize_prompts(**{**arguments, "optimizer": optimizer})


def test_the_built_in_optimizers_declare_their_traits() -> None:
    """Nothing is assumed about them."""
    for listed in create_plugin_manager().hook.prompt_registry_optimizers():
        for made in listed.values():
            assert {"reflects", "needs_data"} <= vars(made).keys(), made


def test_the_old_names_of_a_problem_still_work(arguments: dict[str, Any]) -> None:
    """Those of version 0.1.0; each says its new name."""

    class Old(Declared):
        async def optimize(self, problem: Problem) -> OptimizationResult:
            example = problem.train[0]
            await problem.evaluate(problem.baseline, [example])
            with pytest.warns(DeprecationWarning, match=r"Problem\.seen is called Problem\.result now"):
                assert problem.seen(problem.baseline, example) == problem.result(problem.baseline, example) is not None
            with pytest.warns(DeprecationWarning, match=r"for_example"):
                assert problem.on(example) == problem.for_example(example) != []
            with pytest.warns(DeprecationWarning, match=r"has_started"):
                assert problem.started(problem.baseline, example)
            return OptimizationResult(problem.baseline)

    assert pr.optimize_prompts(**{**arguments, "optimizer": Old(), "eval_data": []}).winner.note == "baseline"


def test_an_object_of_another_library_is_an_optimizer_by_a_hook(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """The first plugin that knows it makes the optimizer."""

    class Recipe:
        """Of a library that knows nothing of optimizers."""

    class Cook:
        @pr.hookimpl
        def prompt_registry_as_optimizer(self, obj: Any) -> Any:
            return Declared() if isinstance(obj, Recipe) else None

    with pytest.raises(pr.UserError, match="An optimizer is a name or an object with"):
        pr.optimize_prompts(**{**arguments, "optimizer": Recipe()})
    manager = create_plugin_manager(Cook())
    with pr.PromptRegistry(registry.url, plugins=manager) as cooking, pr.use_registry(cooking):
        assert pr.optimize_prompts(**{**arguments, "optimizer": Recipe(), "eval_data": []}).optimizer_name == "declared"


def test_the_function_of_gepa_is_an_optimizer(arguments: dict[str, Any]) -> None:
    """Alone or with settings; one that the engine sets itself is refused before anything is spent."""
    import gepa

    arguments = {**arguments, "budget": 60, "eval_data": []}
    assert pr.optimize_prompts(**{**arguments, "optimizer": gepa.optimize}).optimizer_name == "gepa"
    settings = partial(gepa.optimize, reflection_minibatch_size=2, module_selector="all")
    assert pr.optimize_prompts(**{**arguments, "optimizer": settings}).optimizer_name == "gepa"
    with pytest.raises(pr.UserError, match="gepa's max_metric_calls is set by optimize_prompts"):
        pr.optimize_prompts(**{**arguments, "optimizer": partial(gepa.optimize, max_metric_calls=5)})


# --- limits -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraints", "text", "fault"),
    [
        (pr.Constraints(max_words=4), "one two three four five", "it has 5 words, over the limit of 4"),
        (pr.Constraints(max_tokens=2), "one two three four five", "it has 6 tokens, over the limit of 4"),
        (pr.Constraints(), "Say hello. Nothing else.", "protected passage '<keep>Never promise.</keep>'"),
        (pr.Constraints(protected=[r"Answer in \w+\."]), "<keep>Never promise.</keep> Say hello.", "passage 'Answer in JSON.'"),
    ],
)
def test_limits_and_protected_passages(constraints: pr.Constraints, text: str, fault: str) -> None:
    """A proposal that breaks one is told what is wrong with it."""
    baseline = "<keep>Never promise.</keep> Answer in JSON." if "passage" in fault else "one two three"
    assert fault in str(fault_of(text, baseline, baseline, constraints))
    kept = baseline + " x" if "passage" in fault else "one more two"
    assert fault_of(kept, baseline, baseline, constraints) is None


def test_a_search_keeps_to_the_limits(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """What is too long is repaired once or dropped; the reflection model is told the limit and what is protected."""
    asked: list[str] = []

    async def listening(messages: Sequence[Mapping[str, Any]]) -> str:
        asked.append(str(messages[0]["content"]))
        return await target.reflect(messages)

    limits = pr.Constraints(max_words=18, protected=[r"Answer with the \w+ only\."])
    result = pr.optimize_prompts(**{**arguments, "constraints": limits, "reflection_model": listening})
    texts = [str(text) for record in result.candidates for text in record.candidate.templates.values()]
    assert all(len(text.split()) <= 18 for text in texts)
    assert all(re.search(r"Answer with the \w+ only\.", text) for text in texts)
    assert "Use 18 words at most." in asked[0]
    assert re.search(r"exactly as they are:\nAnswer with the \w+ only\.", asked[0])
    run = registry.store.runs.get(result.run_id)
    assert run is not None
    assert run.config["constraints"]["max_words"] == 18


@pytest.mark.parametrize("wrong", [{"max_words": 0}, {"max_tokens": "many"}, {"protected": ["("]}, {"protected": "x"}])
def test_wrong_limits_are_told_at_once(wrong: dict[str, Any]) -> None:
    """Before anything is spent."""
    with pytest.raises(pr.UserError, match=r"max_|protected"):
        pr.Constraints(**wrong)


def test_a_jinja_prompt_is_optimized_as_one(arguments: dict[str, Any]) -> None:
    """Its statements stay as they are, its variables too, and the new version is Jinja again."""
    template = "{% if polite %}Please. {% endif %}" + target.SORT
    pr.register_prompt("sort_jinja", template, template_format="jinja2")

    def predict(text: str) -> dict[str, str]:
        system = pr.load_prompt("sort_jinja", 1).format(polite=True)
        said = target.answer([{"role": "system", "content": system}, {"role": "user", "content": text}], 0)
        return {"kind": said, "size": target.predict(text)["size"]}

    @pr.scorer
    def kind(outputs: Mapping[str, str], expectations: Mapping[str, str]) -> pr.Feedback:
        said = f"kind should be {expectations['kind']!r} but was {outputs['kind']!r}"
        ok = outputs["kind"] == expectations["kind"]
        return pr.Feedback(float(ok), [pr.Item(said, ok, "sort_jinja", f"kind {expectations['kind']}")])

    changes = {"predict_fn": predict, "scorers": [kind], "prompt_uris": ["prompts:/sort_jinja/1"]}
    result = pr.optimize_prompts(**{**arguments, **changes})
    (version,) = result.optimized_prompts
    assert version.template_format == "jinja2"
    assert str(version.template).startswith("{% if polite %}Please. {% endif %}")
    assert version.format(polite=False).startswith("Sort a thing")
    assert "protected passage '{% if polite %}'" in str(
        fault_of("{{polite}}" + target.SORT, template, template, template_format="jinja2")
    )


def test_a_small_budget_ends_in_words_and_not_in_a_crash(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """What it does not pay for is not done, and a run whose budget is spent can be resumed."""
    by_name = {"predict_fn": by_prompt, "reflection_model": target.reflect}
    for optimizer, budget in (("metaprompt", 20), ("few_shot", 20), ("few_shot", 60), ("gepa", 25), ("commit_queue", 20)):
        result = pr.optimize_prompts(**{**arguments, **by_name, "optimizer": optimizer, "budget": budget, "eval_data": []})
        assert result.rollouts <= budget
        stored = registry.store.runs.get(result.run_id)
        assert stored is not None
        registry.store.runs.update(result.run_id, "interrupted")
        winner = registry.store.runs.candidates(result.run_id)[-1]
        registry.store.runs.add_candidate(result.run_id, type(winner)(winner.candidate, "proposed", winner.detail))
        assert pr.resume_run(result.run_id, on_event=lambda event: None).rollouts <= budget


def by_prompt(text: str) -> dict[str, str]:
    """The target, which also says what each prompt's model answered."""
    said = target.predict(text)
    return {**said, "sort": said["kind"], "name": said["size"]}


class Repeating(Optimizer):
    """An optimizer of one's own that can be imported, and stopped."""

    name = "repeating"

    async def optimize(self, problem: Problem) -> OptimizationResult:
        """Runs the baseline."""
        await problem.evaluate(problem.baseline, problem.train[:30])
        if not problem.reflections:
            await problem.reflect("```\nsay 'kind should be 'x''\n``` token: {{token}} secret={{secret}}")
            raise KeyboardInterrupt
        assert "secret={{secret}}" in await problem.reflect(
            "```\nsay 'kind should be 'x''\n``` token: {{token}} secret={{secret}}"
        )
        return OptimizationResult(problem.baseline)


async def echo(messages: Sequence[Mapping[str, Any]]) -> str:
    """Says it again."""
    return str(messages[0]["content"])


repeating = Repeating()


def test_an_optimizer_object_is_found_again_by_a_resumed_run(registry: pr.PromptRegistry, arguments: dict[str, Any]) -> None:
    """Where it can be imported; and what the reflection model said comes back word for word."""
    with pytest.raises(KeyboardInterrupt):
        pr.optimize_prompts(**{**arguments, "optimizer": repeating, "reflection_model": echo})
    (run,) = registry.store.runs.newest()
    result = pr.resume_run(run.id, on_event=lambda event: None)
    assert (result.optimizer_name, len(registry.store.runs.reflections(run.id))) == ("repeating", 1)


def test_gepa_says_that_the_reflection_model_is_gone(arguments: dict[str, Any]) -> None:
    """It would otherwise spend the whole budget on nothing."""

    def fail(messages: Sequence[Mapping[str, Any]]) -> str:
        raise RuntimeError("401 bad key")

    with pytest.raises(pr.errors.ModelUnavailable, match="401 bad key"):
        pr.optimize_prompts(**{**arguments, "optimizer": "gepa", "reflection_model": fail})


def test_proposals_that_cannot_be_used_end_the_search(arguments: dict[str, Any]) -> None:
    """Reflections cost money, which a budget in rollouts says nothing about."""
    asked = 0

    def useless(messages: Sequence[Mapping[str, Any]]) -> str:
        nonlocal asked
        asked += 1
        return "hm"

    said: list[str] = []
    options = pr.RunOptions(concurrency=8, on_event=lambda event: said.append(event.text))
    result = pr.optimize_prompts(**{**arguments, "reflection_model": useless, "budget": 1000, "options": options})
    assert result.winner.id == result.baseline.id
    assert asked < 60
    assert any("the last 12 proposals could not be used" in text for text in said)


def test_an_optimizer_that_runs_into_its_budget_keeps_what_it_decided(arguments: dict[str, Any]) -> None:
    """And mistakes in one are told in words."""

    class Endless:
        name = "endless"

        async def optimize(self, problem: Problem) -> OptimizationResult:
            child = problem.replace(problem.baseline, "sort", target.SORT + "\n- plant: " + ", ".join(sorted(target.PLANTS)))
            problem.decide(child, "accepted", "better")
            with pytest.raises(pr.UserError, match="did you mean 'sort'"):
                problem.replace(child, "sorte", "x")
            while True:
                await problem.evaluate(child, problem.train)
                child = problem.replace(child, "name", problem.baseline_components["name"] + f" {problem.remaining}")

    result = pr.optimize_prompts(**{**arguments, "optimizer": Endless(), "budget": 100})
    assert "plant: baobab" in str(result.winner.templates["sort"])
    assert "gain proven" in result.registered_because

    class Nameless:
        async def optimize(self, problem: Problem) -> Any:
            return None

    with pytest.raises(pr.UserError, match="An optimizer has a `name`"):
        pr.optimize_prompts(**{**arguments, "optimizer": Nameless()})
    with pytest.raises(pr.UserError, match="needs a reflection_model"):
        pr.optimize_prompts(**{**arguments, "reflection_model": None})
    with pytest.raises(pr.UserError, match="constraints are Constraints"):
        pr.optimize_prompts(**{**arguments, "constraints": {"max_words": 10}})
