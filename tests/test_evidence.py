"""What held-out examples say about a winner: grades, candidates, and a test that continues."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import main
from prompt_registry_plugin.evaluation.eprocess import ENOUGH
from prompt_registry_plugin.evaluation.gate import parse_gate
from prompt_registry_plugin.optimize.engine.evidence import stored_evidence
from tests import graded_target as target
from tests.graded_target import optimize, rows

LIKELY = (6, 20, 1)
OPEN = (3, 20, 2)


def run_command(capsys: pytest.CaptureFixture[str], registry: pr.PromptRegistry, *arguments: str) -> tuple[int, str]:
    """Return the exit code and what a command said."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["--registry", registry.url, *arguments])
    shown = capsys.readouterr()
    return int(caught.value.code or 0), shown.out + shown.err


@pytest.mark.parametrize(
    ("wins", "ties", "losses", "grade"),
    [(14, 20, 1, "proven"), (*LIKELY, "likely"), (*OPEN, "open"), (0, 20, 0, "open"), (1, 20, 14, "worse")],
)
def test_a_winner_is_graded_by_its_evidence(registry: pr.PromptRegistry, wins: int, ties: int, losses: int, grade: str) -> None:
    """Proven and likely ones are registered with their evidence as tags, only likely ones as `candidate`, none as anything else."""
    result = optimize(rows(wins, ties, losses))
    assert result.held_out is not None
    assert (result.grade, result.held_out.grade, result.held_out.proven) == (grade, grade, grade == "proven")
    assert bool(result.optimized_prompts) == (grade in ("proven", "likely")), result.registered_because
    found = registry.store.runs.get(result.run_id)
    assert found is not None
    assert found.result is not None
    assert found.result["grade"] == grade
    assert found.result["p_better"] == result.held_out.evidence.p_better
    if grade in ("proven", "likely"):
        version = pr.load_prompt("prompts:/ask/2")
        assert version.aliases == (("candidate",) if grade == "likely" else ())
        assert version.tags["grade"] == grade
        assert version.tags["held_out_examples"] == str(wins + ties + losses)
        assert float(version.tags["p_better"]) >= 0.9
        assert version.tags["gain"].startswith("+0.")
    else:
        assert registry.load_prompt("prompts:/ask/2", allow_missing=True) is None


def test_the_interval_and_the_grade_say_the_same() -> None:
    """Proven, if and only if the interval that is shown is above zero."""
    for wins, losses in ((5, 0), (6, 0), (8, 1), (9, 2), (12, 3)):
        held_out = optimize(rows(wins, 20, losses)).held_out
        assert held_out is not None
        assert held_out.difference.low is not None
        assert held_out.proven == (held_out.difference.low > 0), (wins, losses)


def test_a_likely_winner_is_not_promoted_by_a_script(registry: pr.PromptRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """`promote` leaves it where it is and says so, unless it is asked for it."""
    result = optimize(rows(*LIKELY))
    with caplog.at_level(logging.WARNING):
        assert result.promote() == ()
    assert "likely, not proven" in caplog.text
    assert registry.load_prompt("prompts:/ask@production", allow_missing=True) is None
    assert [version.version for version in result.promote(likely=True)] == [2]
    assert pr.load_prompt("prompts:/ask@production").version == 2


def test_a_protected_candidate_stays_where_it_is(registry: pr.PromptRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """The version is registered all the same, and a warning says what did not happen."""
    pr.register_prompt("ask", target.BASE)
    pr.set_prompt_alias("ask", "candidate", 1)
    registry.protect_alias("ask", "candidate", reason="an experiment is under way")
    result = optimize(rows(*LIKELY))
    assert [version.uri for version in result.optimized_prompts] == ["prompts:/ask/2"]
    assert pr.load_prompt("prompts:/ask@candidate").version == 1
    assert "did not move" in caplog.text


def test_evidence_for_one_version_is_not_inherited_by_the_next(registry: pr.PromptRegistry) -> None:
    """Tags of your own are carried over; those with figures are about one version only."""
    optimize(rows(14, 20, 1))
    registry.set_prompt_version_tag("ask", 2, "team", "cards")
    again = optimize([], prompt_uris=["prompts:/ask/2"], optimizer=_AnotherText(), register="always")
    tags = again.optimized_prompts[0].tags
    assert tags["team"] == "cards"
    assert "grade" not in tags
    assert "gain" not in tags


class _AnotherText(target.Rewrite):
    async def optimize(self, problem: Any) -> Any:
        await problem.evaluate(problem.baseline, problem.train)
        found = problem.replace(problem.baseline, "ask", target.NEW + " Be brief.", "rewritten")
        return pr.protocols.OptimizationResult(found)


def test_what_is_open_is_kept_and_can_be_registered(registry: pr.PromptRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """By a command and by a method, once, with its evidence; then it can be promoted."""
    result = optimize(rows(*OPEN))
    assert f"prompt-registry runs register {result.run_id}" in result.registered_because
    code, said = run_command(capsys, registry, "runs", "promote", result.run_id)
    assert code == 2
    assert "runs register" in said
    code, said = run_command(capsys, registry, "runs", "register", result.run_id)
    assert (code, "registered prompts:/ask/2" in said) == (0, True)
    version = pr.load_prompt("prompts:/ask/2")
    assert (version.aliases, version.tags["grade"], version.run_id, version.parent) == ((), "open", result.run_id, 1)
    assert result.register().optimized_prompts[0].version == 2, "what is registered is not registered twice"
    code, said = run_command(capsys, registry, "runs", "promote", result.run_id)
    assert (code, "not proven" in said, "--unproven" in said) == (2, True, True)
    assert pr.load_prompt("ask").aliases == ()
    code, _ = run_command(capsys, registry, "runs", "promote", result.run_id, "--unproven")
    assert code == 0
    assert pr.load_prompt("prompts:/ask@production").version == 2
    code, said = run_command(capsys, registry, "runs", "show", result.run_id)
    assert "better with probability 0." in said
    assert "open" in said


def test_a_run_without_a_winner_has_nothing_to_register(registry: pr.PromptRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor to prove; an unknown run is named with the one that may be meant."""
    pr.register_prompt("ask", target.NEW)
    result = optimize(rows(5))
    assert result.grade is None
    for command in ("register", "prove"):
        code, said = run_command(capsys, registry, "runs", command, result.run_id)
        assert code == 2
        assert "nothing better than the baseline" in said
    code, said = run_command(capsys, registry, "runs", "register", result.run_id[:-1])
    assert code == 2
    assert result.run_id in said


def test_a_test_continues_until_the_gain_is_proven(registry: pr.PromptRegistry) -> None:
    """New rows count, rows that were used do not; it stops when it is sure, and stores what it found with the run."""
    data = rows(*OPEN)
    result = optimize(data)
    with pytest.raises(pr.UserError, match="were used by the search or the test already"):
        result.prove([*data, *rows(0, 20, start=1_000_000)])
    looks_different = [{**each, "inputs": {"text": each["inputs"]["text"].upper() + "!"}} for each in data]
    with pytest.raises(pr.UserError, match="were used"):
        result.prove(looks_different)
    some = result.prove([*data, *rows(2, 6, start=100)])
    assert some.evidence is not None
    assert some.evidence.difference.n == 25 + 8
    assert (some.grade, some.optimized_prompts) == ("open", [])
    done = some.prove(rows(200, 200, start=200))
    assert done.evidence is not None
    assert done.evidence.e_value is not None
    assert done.evidence.e_value >= ENOUGH
    assert done.grade == "proven"
    assert [version.uri for version in done.optimized_prompts] == ["prompts:/ask/2"]
    assert pr.load_prompt("prompts:/ask/2").aliases == ()
    assert pr.load_prompt("prompts:/ask/2").tags["grade"] == "proven"
    spent = registry.store.runs.rollouts(result.run_id, "more")
    assert len(spent) < 2 * 408, "it stops as soon as the gain is proven"
    assert len(spent) == len({(r.candidate_id, r.example_id) for r in spent})
    assert done.promote()[0].version == 2


def test_a_candidate_that_turns_out_worse_is_withdrawn(registry: pr.PromptRegistry) -> None:
    """It loses its alias; the version and its evidence stay."""
    result = optimize(rows(*LIKELY))
    assert pr.load_prompt("prompts:/ask@candidate").version == 2
    worse = result.prove(rows(0, 0, 120, start=500))
    assert worse.grade == "worse"
    assert registry.load_prompt("prompts:/ask@candidate", allow_missing=True) is None
    assert pr.load_prompt("prompts:/ask/2").tags["grade"] == "worse"


def test_a_test_continues_from_another_process(
    registry: pr.PromptRegistry, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The command imports target and scorers by name, keeps to its budget, and the state is in the registry."""
    result = optimize(rows(*OPEN))
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps(each) + "\n" for each in rows(60, 40, start=300)))
    code, said = run_command(capsys, registry, "runs", "prove", result.run_id, "--data", str(more), "--budget", "20", "--json")
    assert code == 0, said
    first = json.loads(said)
    assert (first["examples"], first["skipped"]) == (25 + 10, 0)
    code, said = run_command(capsys, registry, "runs", "prove", result.run_id, "--data", str(more))
    assert code == 0, said
    assert "10 rows were not run" in said
    assert "gain proven" in said
    assert "runs promote" in said
    code, said = run_command(capsys, registry, "runs", "list")
    assert "proven" in said


def test_held_out_rows_beyond_the_test_are_left_for_later(registry: pr.PromptRegistry) -> None:
    """`Budget(proof=…)` sets how many rollouts the test takes; `prove` without data takes the rest."""
    result = optimize(rows(6, 20, 1), budget=pr.Budget(40, proof=20))
    assert result.held_out is not None
    assert result.held_out.difference.n == 10
    again = result.prove()
    assert again.evidence is not None
    assert again.evidence.difference.n == 27
    with pytest.raises(pr.UserError, match="no held-out rows left"):
        again.prove()


def test_scores_without_bounds_cannot_be_bet_on() -> None:
    """They are told, and the run stays as it is."""
    result = optimize([target.row(i, 10 * i, 10 * i + 1) for i in range(4)])
    with pytest.raises(pr.errors.InvalidScore, match="from 0 to 1"):
        result.prove(rows(3, start=900))


def test_a_small_budget_makes_few_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """60 rollouts on 5,000 rows: the test costs no more than the search, and the budget that is shown says so."""
    calls: list[str] = []

    def counted(text: str) -> str:
        calls.append(text)
        return target.predict(text)

    said: list[str] = []
    options = pr.RunOptions(concurrency=4, on_event=lambda event: said.append(event.text))
    result = optimize(None, train_data=rows(2500, 2500), budget=60, predict_fn=counted, options=options, optimizer=_FirstRows())
    assert result.held_out is not None
    assert result.held_out.difference.n == 30
    assert len(calls) <= 120
    assert any("at most 60 rollouts, then 60 for the held-out test" in text for text in said)


class _FirstRows(target.Rewrite):
    async def optimize(self, problem: Any) -> Any:
        await problem.evaluate(problem.baseline, problem.train[:40])
        return pr.protocols.OptimizationResult(problem.replace(problem.baseline, "ask", target.NEW, "rewritten"))


def test_rows_that_no_decision_used_join_the_test(registry: pr.PromptRegistry) -> None:
    """If the optimizer sees examples in rollouts only, training rows without any are as good as held out."""

    class Sparing(_FirstRows):
        sees_rollouts_only = True

    result = optimize(None, train_data=rows(60, 40), budget=pr.Budget(200), optimizer=Sparing())
    assert result.held_out is not None
    assert result.held_out.difference.n == 30 + 30
    tested = {rollout.example_id for rollout in result.held_out.before.rollouts}
    assert not tested & {rollout.example_id for rollout in registry.store.runs.rollouts(result.run_id, "train")}
    assert result.rollouts + 2 * 60 <= 200 + 60, "the search's budget pays for them"


def test_results_of_version_0_1_0_have_a_grade() -> None:
    """Made from the interval and the p-value that it stored."""
    stored = {"initial_eval_score": 0.5, "final_eval_score": 0.6, "difference": [0.1, 0.02, 0.18], "p_value": 0.01}
    evidence = stored_evidence(stored)
    assert evidence is not None
    assert evidence.grade == "proven"
    evidence = stored_evidence({**stored, "difference": [0.1, -0.02, 0.22], "p_value": 0.12})
    assert evidence is not None
    assert (evidence.grade, evidence.p_better) == ("likely", pytest.approx(0.94 * 1.5 / (0.94 * 1.5 + 0.06)))
    assert stored_evidence({**stored, "difference": None}) is None
    assert stored_evidence(None) is None


def _with_model(text: str, model: str) -> str:
    return target.predict(text)


def _answered(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "expectations": {**each["expectations"], "expected_response": "so"}} for each in data]


@pytest.mark.parametrize(("data", "grade", "version"), [((14, 20, 1), "proven", 2), (LIKELY, "likely", 1), (OPEN, "open", 1)])
def test_a_migration_moves_its_alias_to_what_is_proven(
    registry: pr.PromptRegistry, data: tuple[int, int, int], grade: str, version: int
) -> None:
    """A version that is only likely better becomes the candidate, and the model's alias stays where it was."""
    pr.register_prompt("ask", target.BASE)
    done = pr.migrate_prompts(
        ["prompts:/ask/1"],
        predict_fn=_with_model,
        train_data=_answered(rows(0, 20, start=1_000_000)),
        eval_data=_answered(rows(*data)),
        from_model="old",
        to_model="new",
        reflection_model=lambda messages: "",
        scorers=[target.known],
        optimizer=target.Rewrite(),
        budget=40,
        options=pr.RunOptions(concurrency=4, on_event=lambda event: None),
    )
    assert done.optimization.grade == grade
    assert pr.load_prompt("prompts:/ask@new").version == version
    assert (registry.load_prompt("prompts:/ask@candidate", allow_missing=True) is not None) == (grade == "likely")
    assert (done.after == done.before) == (grade != "proven")


@pytest.mark.parametrize(
    ("data", "grade", "passed"),
    [
        ((14, 20, 1), "proven", ["no regression", "likely better", "proven better"]),
        (LIKELY, "likely", ["no regression", "likely better"]),
        (OPEN, "open", ["no regression"]),
        ((1, 20, 14), "worse", []),
    ],
)
def test_a_comparison_speaks_the_same_grades(data: tuple[int, int, int], grade: str, passed: list[str]) -> None:
    """In the table, in JSON, and as conditions of a gate."""
    pr.register_prompt("ask", target.BASE)
    options = pr.RunOptions(concurrency=4, on_event=lambda event: None)
    found = pr.compare(
        predict_fn=target.predict,
        data=rows(*data),
        scorers=[target.known],
        prompts=["prompts:/ask/1", pr.register_prompt("ask", target.NEW).uri],
        options=options,
    )
    assert [variant.grade for variant in found.variants] == [None, grade]
    assert found.rows()[1][found.columns.index("grade")].startswith(grade)
    stored = json.loads(json.dumps(found.to_json(), default=str))["variants"][1]
    assert stored["grade"] == grade
    assert 0 <= stored["p_better"] <= 1
    assert "likely" in found.note
    for condition in ("no regression", "likely better", "proven better"):
        assert (found.failures_of(condition) == []) == (condition in passed), condition
    if not passed:
        assert found.failures_of("likely better")[0].startswith("ask/2 is not likely better than ask/1: worse, -0.")


def test_a_gate_for_better_needs_a_baseline() -> None:
    """Before anything is run."""
    with pytest.raises(pr.UserError, match="'proven better' needs something to compare with"):
        parse_gate("proven better", ["known"], 1)
    assert len(parse_gate("score >= 0.5 and Likely better", ["known"], 2)) == 2
