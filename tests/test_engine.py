"""The engine under any optimizer: budgets that are hard, errors that pass, rate limits, and what a resume finds again."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.concurrency import AdaptiveLimit
from prompt_registry_plugin.evaluation.options import Event
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.protocols import Reply
from prompt_registry_plugin.retry import is_passing, is_rate_limit, retry_after
from prompt_registry_plugin.tracing.recorder import span
from tests import simulated_target as target
from tests.waiting import HANG

QUIET = pr.RunOptions(concurrency=8, on_event=lambda event: None)


class TooManyRequests(Exception):
    """What an HTTP client raises for a 429."""

    def __init__(self, after: str | None = None) -> None:
        super().__init__("slow down")
        self.status_code = 429
        self.response = type("Response", (), {"status_code": 429, "headers": {"retry-after": after} if after else {}})()


async def reflect_with_usage(messages: Sequence[Mapping[str, Any]]) -> Reply:
    """The scripted reflection model, with the tokens that it took; it can list mistakes, too."""
    prompt = str(messages[0]["content"])
    if prompt.startswith("List each mistake"):
        said = re.findall(r"^## Run (\d+)|((kind|size) should be '\w+' but was '\w+')", prompt, re.M)
        run, lines = "", []
        for number, mistake, field in said:
            run = number or run
            lines += [f"{run} | {'sort' if field == 'kind' else 'name'} | {mistake}"] if mistake else []
        text = "\n".join(lines)
    else:
        text = await target.reflect(messages)
    return Reply(text, pr.records.Usage(len(str(messages[0]["content"])) // 4, len(text) // 4, 1))


async def predict_with_usage(text: str) -> dict[str, str]:
    """The target, as if it were one model call of about a hundred tokens."""
    await asyncio.sleep(0.001)
    with span("llm", "m", {"input_tokens": 80 + len(text), "output_tokens": 10, "model": "m"}):
        return target.predict(text)


@pytest.fixture
def prompts() -> list[str]:
    """Both prompts of the target."""
    return target.register()


def run(**changes: Any) -> pr.PromptOptimizationResult:
    """A run over 64 rows, without a proof."""
    arguments: dict[str, Any] = {
        "predict_fn": predict_with_usage, "train_data": target.rows(4), "eval_data": [], "prompt_uris": target.register(),
        "scorers": [target.right], "reflection_model": reflect_with_usage, "options": QUIET,
    }  # fmt: skip
    return pr.optimize_prompts(**{**arguments, **changes})


# --- budgets --------------------------------------------------------------------------------------------------------------------


def test_a_budget_in_tokens_is_never_overshot(registry: pr.PromptRegistry) -> None:
    """Rollouts and reflections together, counted from what is stored; most of it is used."""
    result = run(budget=pr.Budget(tokens=30_000))
    used = [r.usage for r in registry.store.runs.rollouts(result.run_id, "train")]
    reflections = registry.store.runs.reflections(result.run_id)
    total = sum(u.input_tokens + u.output_tokens for u in (*used, *(r.usage for r in reflections)))
    assert reflections
    assert 20_000 < total <= 30_000


def test_a_budget_in_dollars_is_never_overshot(registry: pr.PromptRegistry) -> None:
    """By the prices that are given; the rollouts' cost is stored with them."""
    prices = {"m": pr.records.Price(10, 30), "reflect_with_usage": pr.records.Price(10, 30)}
    options = pr.RunOptions(concurrency=8, prices=prices, on_event=lambda event: None)
    result = run(budget=pr.Budget(dollars=0.2), options=options)
    spent = [r.cost for r in registry.store.runs.rollouts(result.run_id, "train")]
    reflected = [r.cost for r in registry.store.runs.reflections(result.run_id)]
    assert None not in spent
    assert None not in reflected
    assert 0.1 < sum(spent) + sum(reflected) <= 0.2  # type: ignore[arg-type]


def test_a_budget_in_seconds_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rollout is asked for after its end, by a clock on which each takes an hour; those that wait for a slot by then are run."""
    calls = 0

    async def hour_by_hour(text: str) -> dict[str, str]:
        nonlocal calls
        calls += 1
        return await predict_with_usage(text)

    monkeypatch.setitem(Meter.__init__.__kwdefaults__, "clock", lambda: calls * 3600.0)
    assert run(predict_fn=hour_by_hour, budget=pr.Budget(seconds=60 * 3600)).rollouts == calls
    assert 30 < calls < 120, "what had begun ends: what waited for a slot, too"


def test_a_budget_that_cannot_be_measured_is_told_at_once() -> None:
    """After one rollout, with what to do."""
    with pytest.raises(pr.UserError, match=r"in tokens, but the target reports no tokens"):
        run(predict_fn=target.predict, budget=pr.Budget(tokens=10_000))
    with pytest.raises(pr.UserError, match=r"the price of the reflection model is not known"):
        run(budget=pr.Budget(dollars=1.0))
    priced = pr.RunOptions(on_event=lambda event: None, prices={"reflect_with_usage": pr.records.Price(1, 1)})
    with pytest.raises(pr.UserError, match=r"in dollars, but the price of a model of the target.*Set it"):
        run(budget=pr.Budget(dollars=1.0), options=priced)
    with pytest.raises(pr.errors.BudgetTooSmall, match=r"500 tokens does not pay for the baseline"):
        run(budget=pr.Budget(tokens=500))


@pytest.mark.parametrize(
    "wrong", [{"tokens": 0}, {"tokens": 1.5}, {"dollars": -1}, {"seconds": float("inf")}, {"rollouts": True}]
)
def test_a_budget_is_a_positive_number(wrong: dict[str, Any]) -> None:
    """Of what it is in; several hold together, and none is 300 rollouts."""
    with pytest.raises(pr.UserError, match=r"is a positive (whole )?number"):
        pr.Budget(**wrong)
    assert str(pr.Budget()) == "300 rollouts"
    assert str(pr.Budget(100, tokens=1_000_000, dollars=2)) == "100 rollouts, 1,000,000 tokens, $2.00"


def test_what_judges_ask_is_paid_from_the_budget(registry: pr.PromptRegistry) -> None:
    """It is kept apart from what the target took."""

    async def model(messages: Sequence[Mapping[str, Any]]) -> Reply:
        return Reply('{"rationale": "as it is", "verdict": "yes"}', pr.records.Usage(400, 20, 1))

    judge = pr.scorers.Judge("Is it fine?", model=model, name="fine")
    result = run(budget=pr.Budget(tokens=20_000), scorers=[target.right, judge])
    stored = registry.store.runs.rollouts(result.run_id, "train")
    assert {rollout.judging for rollout in stored} == {pr.records.Usage(400, 20, 1)}
    assert all(rollout.usage.input_tokens < 150 for rollout in stored)
    assert result.rollouts <= 20_000 / 500


def test_a_run_of_models_that_cost_nothing_keeps_to_its_dollars() -> None:
    """Free is a price like another."""
    free = {"m": pr.records.Price(0, 0), "reflect_with_usage": pr.records.Price(0, 0)}
    options = pr.RunOptions(concurrency=8, prices=free, on_event=lambda event: None)
    assert run(budget=pr.Budget(rollouts=60, dollars=1.0), options=options).rollouts > 40


# --- errors that pass -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("prompts", "short_waits")
def test_errors_that_pass_are_tried_again() -> None:
    """Each fifth call loses its connection, once for each text: no rollout fails for that."""
    calls = 0
    lost: set[str] = set()  # or three attempts of one rollout may all be a fifth call

    def flaky(text: str) -> dict[str, str]:
        nonlocal calls
        calls += 1
        if calls % 5 == 0 and text not in lost:
            lost.add(text)
            raise ConnectionError("reset")
        return target.predict(text)

    result = pr.evaluate(predict_fn=flaky, data=target.rows(2), scorers=[target.right], options=QUIET)
    assert result.failures == []
    assert calls > 32


@pytest.mark.usefixtures("prompts")
def test_an_error_that_does_not_pass_is_not_tried_again() -> None:
    """It would cost money for nothing."""
    calls: Counter[str] = Counter()

    def broken(text: str) -> dict[str, str]:
        calls[text] += 1
        if "oak" in text:
            raise ValueError("not for oaks")
        return target.predict(text)

    result = pr.evaluate(predict_fn=broken, data=target.rows(2), scorers=[target.right], options=QUIET)
    assert len(result.failures) == 2
    assert set(calls.values()) == {1}


@pytest.mark.usefixtures("short_waits")
def test_what_an_attempt_left_behind_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tokens are paid for; its tools and its time are not those of the run that is scored."""
    tries = 0
    clock = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: clock)

    async def agent(text: str) -> str:
        nonlocal tries, clock
        tries += 1
        with span("tool", "search"), span("llm", "m", {"input_tokens": 10, "output_tokens": 1}):
            clock += 100 if tries == 1 else 1
        if tries == 1:
            raise ConnectionError("reset")
        return "fine"

    row = {"inputs": {"text": "x"}, "expectations": {"expected_tools": ["search"], "expected_response": "fine"}}
    result = pr.evaluate(predict_fn=agent, data=[row], scorers=["trajectory", "exact_match"], options=QUIET)
    (rollout,) = result.rollouts
    assert (tries, rollout.score, rollout.usage.input_tokens) == (2, 1.0, 20)
    assert rollout.seconds == 1


async def test_a_cancelled_evaluation_stops_at_once() -> None:
    """Also when the agent was waiting after a lost connection of its own: nothing is tried again."""
    tries = 0
    waiting = asyncio.Event()

    async def agent(text: str) -> str:
        nonlocal tries
        tries += 1
        try:
            raise ConnectionError("reset")
        except ConnectionError:
            waiting.set()
            await asyncio.Event().wait()
        return "fine"

    data = [{"inputs": {"text": "x"}, "expectations": {"expected_response": "fine"}}]
    task = asyncio.create_task(pr.aevaluate(predict_fn=agent, data=data, scorers=["exact_match"], options=QUIET))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, HANG)
    assert tries == 1


@pytest.mark.usefixtures("prompts")
def test_concurrency_adapts_to_a_server_that_takes_less() -> None:
    """Three at once, else a 429: every rollout gets through, and far fewer calls are refused than were made."""
    running = most = refused = 0

    async def predict_at_most_three(text: str) -> dict[str, str]:
        nonlocal running, most, refused
        if running >= 3:
            refused += 1
            raise TooManyRequests("0.02")
        running += 1
        try:
            await asyncio.sleep(0.01)
            return target.predict(text)
        finally:
            running -= 1

    options = pr.RunOptions(concurrency=16, on_event=lambda event: None, attempts=8)
    result = pr.evaluate(predict_fn=predict_at_most_three, data=target.rows(12), scorers=[target.right], options=options)
    assert result.failures == []
    assert refused < 192


async def test_the_limit_halves_once_for_all_that_were_under_way_and_recovers() -> None:
    """Additive increase, multiplicative decrease."""
    limit = AdaptiveLimit(8)

    async def work(*, refused: bool) -> None:
        async with limit:
            await asyncio.sleep(0.001)
            if refused:
                limit.slow_down()

    await asyncio.gather(*(work(refused=True) for _ in range(8)))
    assert limit.limit in (4, 5), "eight refusals of one moment are one"
    await asyncio.gather(*(work(refused=False) for _ in range(60)))
    assert limit.limit == 8


def test_a_reflection_model_that_is_busy_is_waited_for() -> None:
    """One refusal costs no proposal."""
    refusals = 0

    async def busy(messages: Sequence[Mapping[str, Any]]) -> str:
        nonlocal refusals
        if refusals < 2:
            refusals += 1
            raise TooManyRequests("0.01")
        return await target.reflect(messages)

    result = run(predict_fn=target.predict, reflection_model=busy, budget=120)
    assert refusals == 2
    assert not any("could not be used" in str(record.detail.get("text")) for record in result.candidates)


@pytest.mark.parametrize(
    ("error", "passing", "limited"),
    [
        (TooManyRequests(), True, True),
        (ConnectionResetError(), True, False),
        (TimeoutError(), True, False),
        (ValueError("x"), False, False),
        (type("RateLimitError", (Exception,), {})("x"), True, True),
        (type("APIStatusError", (Exception,), {"status_code": 503})("x"), True, False),
        (type("APIStatusError", (Exception,), {"status_code": 401})("x"), False, False),
    ],
)
def test_errors_are_told_by_what_all_clients_have_in_common(error: Exception, passing: bool, limited: bool) -> None:
    """Also when a framework wrapped them."""
    wrapped = RuntimeError("the agent failed")
    wrapped.__cause__ = error
    for seen in (error, wrapped):
        assert (is_passing(seen), is_rate_limit(seen)) == (passing, limited)
    assert retry_after(TooManyRequests("7")) == 7
    assert retry_after(TooManyRequests("900")) == 60
    assert retry_after(TooManyRequests()) is None


# --- resuming -----------------------------------------------------------------------------------------------------------------------


async def test_a_resumed_run_keeps_its_budget_and_what_was_listed(registry: pr.PromptRegistry) -> None:
    """Tokens of both processes stay below the limit together, and no run whose mistakes were listed is listed again."""
    target.register()
    done = 0

    def count(event: Event) -> None:
        nonlocal done
        done = max(done, event.done)

    options = pr.RunOptions(concurrency=4, on_event=count)
    task = asyncio.create_task(
        pr.aoptimize_prompts(
            predict_fn=predict_with_usage, train_data=target.rows(4), eval_data=[], prompt_uris=["prompts:/sort/1", "prompts:/name/1"],
            scorers=[in_prose], reflection_model=reflect_with_usage, budget=pr.Budget(tokens=30_000), options=options,
        )
    )  # fmt: skip
    while done < 60 and not task.done():
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (stored,) = registry.store.runs.newest()
    before = registry.store.runs.reflections(stored.id)
    result = await pr.aresume_run(stored.id, on_event=lambda event: None)
    after = registry.store.runs.reflections(stored.id)
    assert after[: len(before)] == before
    used = [r.usage for r in registry.store.runs.rollouts(result.run_id, "train")]
    assert sum(u.input_tokens + u.output_tokens for u in (*used, *(r.usage for r in after))) <= 30_000
    assert result.reflection_usage == sum((r.usage for r in after), pr.records.Usage())
    listed = [tuple(key) for r in after if r.purpose == "listing" for key in r.detail["runs"]]
    assert listed
    assert len(listed) == len(set(listed))


@pr.scorer
def in_prose(outputs: Mapping[str, str], expectations: Mapping[str, str]) -> pr.Feedback:
    """A judge that says in one text what was wrong."""
    judged = target.right.function(outputs, expectations)
    return pr.Feedback(
        judged.score, rationale=". ".join(item.text for item in judged.items if not item.ok) or "all of it is right"
    )


def test_judges_and_agents_are_made_again_where_a_run_goes_on() -> None:
    """From what they were made with: a run of them can be resumed. Nothing but such classes is called by name."""
    from prompt_registry_plugin.evaluation.targets import import_object, reference_to
    from prompt_registry_plugin.models.resolve import ModelWithParams

    model = ModelWithParams("offline:judge", temperature=0.5)
    for made in (
        pr.scorers.Judge("Is it?", model=model, name="mine"),
        pr.PromptAgent("p", "offline:task", temperature=0),
        pr.scorers.Regex("a+"),
    ):
        reference = reference_to(made)
        assert reference is not None
        again = import_object(reference)
        assert type(again) is type(made)
        assert reference_to(again) == reference
    assert again._pattern.pattern == "a+"
    assert reference_to(pr.scorers.Judge("Is it?", model=lambda messages: "yes")) is None
    assert reference_to(pr.PromptAgent("p", temperature=(1, 2))) is None
    keyed = pr.PromptAgent("p", "offline:task", extra_headers={"Authorization": "Bearer sk-abcdefghijklmnopqrstuvwx"})
    assert reference_to(keyed) is None  # which would be stored, and shown
    for dangerous in ('subprocess:run{"args": "ls"}', "os:getcwd{}", 'prompt_registry_plugin.records:Example{"inputs": {}}'):
        with pytest.raises(pr.UserError, match="is not a class that is made from a recipe"):
            import_object(dangerous)
