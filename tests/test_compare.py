"""Variants side by side on the same rows, and a gate that fails a build for a reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import main
from prompt_registry_plugin.evaluation.statistics import holm
from tests import simulated_target as target

QUIET = pr.RunOptions(concurrency=8, on_event=lambda event: None)
PLANTS = "\n- plant: " + ", ".join(sorted(target.PLANTS))


@pytest.fixture
def arguments() -> dict[str, Any]:
    """Three versions of one prompt: as it was, better, and broken."""
    target.register()
    pr.register_prompt("sort", target.SORT + PLANTS)
    pr.register_prompt("sort", "Say plant, whatever it is that you are asked.")
    uris = ["prompts:/sort/1", "prompts:/sort/2", "prompts:/sort/3"]
    return {"predict_fn": target.predict, "data": target.rows(4), "scorers": [target.right], "prompts": uris, "options": QUIET}


def test_versions_are_compared_in_pairs_with_the_first(arguments: dict[str, Any]) -> None:
    """With intervals, corrected p-values, and every row."""
    found = pr.compare(**arguments)
    assert [variant.name for variant in found.variants] == ["sort/1", "sort/2", "sort/3"]
    first, better, _ = found.variants
    assert first.difference is None
    assert better.difference is not None
    assert better.difference.proves_gain
    assert better.p_value is not None
    assert better.p_value >= better.difference.p_value
    alone = pr.evaluate(**{**arguments, "prompts": {"sort": target.SORT + PLANTS}})
    assert better.result.score == alone.score
    data = json.loads(json.dumps(found.to_json(), default=str))
    assert len(data["variants"][1]["scores"]) == len(data["examples"]) == 64
    page = found.to_html()
    assert "elephant number0" in page
    assert not re.search(r"(?:src|href)=|@import|url\(", page)


def test_models_and_targets_are_variants_too() -> None:
    """All combinations; one that fails on a row says so."""

    def answers(text: str, model: str) -> str:
        if model == "b" and text == "2":
            raise ValueError("<b>no</b>")
        return text

    data = [{"inputs": {"text": str(n)}, "expectations": {"expected_response": "1"}} for n in range(4)]
    found = pr.compare(
        predict_fn={"old": answers, "new": answers}, data=data, scorers=["exact_match"], models=["a", "b"], options=QUIET
    )
    assert [variant.name for variant in found.variants] == ["old, a", "old, b", "new, a", "new, b"]
    assert [variant.measure("failures") for variant in found.variants] == [0, 1, 0, 1]
    assert "&lt;b&gt;no&lt;/b&gt;" in found.to_html()
    suites = ElementTree.fromstring(found.to_junit("score >= 0.9"))
    assert [suite.get("errors") for suite in suites][:4] == ["0", "1", "0", "1"]
    assert suites[4].get("failures") == "1"
    with pytest.raises(pr.UserError, match="compared twice"):
        pr.compare(predict_fn=answers, data=data, scorers=["exact_match"], models=["a", "a"], options=QUIET)


def test_a_gate_says_why_it_is_not_passed(arguments: dict[str, Any]) -> None:
    """By figures and by regression against the first."""
    broken = pr.compare(**{**arguments, "prompts": ["prompts:/sort/2", "prompts:/sort/3"]})
    assert broken.failures_of("score >= 10% and failures < 1") == []
    reasons = broken.failures_of("right >= 0.99 and no regression")
    assert [reason.split(" is ")[0] for reason in reasons] == ["right", "sort/3"]
    assert re.search(r"sort/3 is worse than sort/2: -0\.\d+ \[", reasons[1])
    for gate, said in (
        ("rihgt > 1", "did you mean 'right'"),
        ("be good", "cannot read 'be good'"),
        ("cost < 1", "'cost', which is not known"),
    ):
        with pytest.raises(pr.UserError, match=said):
            broken.failures_of(gate)
    with pytest.raises(pr.UserError, match="something to compare with"):
        pr.compare(**{**arguments, "prompts": ["prompts:/sort/2"]}).failures_of("no regression")


def test_the_command_exits_with_one_and_the_reason(
    arguments: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And writes what a build server reads."""
    rows, junit = tmp_path / "rows.jsonl", tmp_path / "junit.xml"
    rows.write_text("\n".join(json.dumps(row) for row in target.rows(4)))
    command = [
        "eval", "--target", "tests.simulated_target:predict", "--data", str(rows), "--scorer", "tests.simulated_target:right",
        "--baseline", "prompts:/sort/2", "--gate", "no regression", "--junit", str(junit),
    ]  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        main([*command, "--prompt", "prompts:/sort/3"])
    assert ended.value.code == 1
    assert "gate not passed: sort/3 is worse than sort/2" in capsys.readouterr().err
    assert ElementTree.parse(junit).getroot()[-1].get("failures") == "1"
    with pytest.raises(SystemExit) as ended:
        main([*command, "--prompt", "prompts:/sort/1", "--gate", "score > 0", "--json"])
    assert ended.value.code == 0


def test_p_values_are_corrected_as_holm_says() -> None:
    """Checked by hand."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_a_matrix_of_versions_and_models() -> None:
    """A row for each prompt, a column for each model; nothing where there are not several of both; the note says what was corrected."""
    for text in ("a {{q}}", "b {{q}}"):
        pr.register_prompt("m", text)

    def answering(q: str, model: str) -> str:
        return f"{model} {pr.load_prompt('m').format(q=q)}"

    rows = [{"inputs": {"q": str(i)}, "expectations": {"expected_response": f"x a {i}"}} for i in range(4)]
    uris = ["prompts:/m/1", "prompts:/m/2"]
    found = pr.compare(predict_fn=answering, data=rows, scorers=["exact_match"], prompts=uris, models=["x", "y"])
    assert [[cell.partition(" ")[0] for cell in row] for row in found.matrix()] == [
        ["score", "x", "y"],
        ["m/1", "1.000", "0.000"],
        ["m/2", "0.000", "0.000"],
    ]
    assert found.matrix("failures")[1] == ["m/1", "0", "0"]
    assert "corrected for 3 comparisons (Holm)" in found.note
    assert "<td>m/2</td>" in found.to_html()
    assert pr.compare(predict_fn=answering, data=rows, scorers=["exact_match"], prompts=uris, models=["x"]).matrix() == []
    with pytest.raises(pr.UserError, match="'nothing' is not known"):
        found.matrix("nothing")


def test_pages_and_reports_hold_no_secrets() -> None:
    """What an agent answers and raises is masked where people read it."""
    secret = "sk-abcdefghijklmnopqrstuvwx"

    def leaking(q: str) -> str:
        if q == "b":
            raise ValueError(f"refused: api_key={secret}")
        return f"the key is {secret}"

    found = pr.compare(predict_fn=leaking, data=[{"inputs": {"q": q}} for q in "ab"], scorers=["length"])
    assert secret not in found.to_html()
    assert "the key is" in found.to_html()
    assert secret not in found.to_junit()


def test_of_an_agent_everything_about_a_version_is_compared(caplog: pytest.LogCaptureFixture) -> None:
    """A prompt with a model: versions with their settings, or models in its place; of others the texts alone, which is said."""
    for model in ("task", "judge"):
        pr.register_prompt(
            "m", "Is it yes or no? Answer with yes or no only. {{q}}", model_config={"provider": "offline", "model_name": model}
        )
    rows = [{"inputs": {"q": "x"}}]
    agent = pr.PromptAgent("m")
    uris = ["prompts:/m/1", "prompts:/m/2"]
    found = pr.compare(predict_fn=agent, data=rows, scorers=["length"], prompts=uris)
    assert ["verdict" in str(v.result.rollouts[0].outputs) for v in found.variants] == [False, True]
    models = pr.compare(predict_fn=agent, data=rows, scorers=["length"], prompts=uris, models=["offline:judge", "offline:task"])
    assert ["verdict" in str(v.result.rollouts[0].outputs) for v in models.variants] == [True, False, True, False]
    assert caplog.text == ""
    pr.compare(predict_fn=lambda q: pr.load_prompt("m").format(q=q), data=rows, scorers=["length"], prompts=uris)
    assert "versions of 'm' differ in model_config" in caplog.text


def test_the_table_leaves_out_what_tells_nothing() -> None:
    """No column of failures where nothing failed, none of tokens and costs where none are known, none twice."""
    rows = [{"inputs": {"q": "x"}, "expectations": {"expected_response": "x"}}]
    one = pr.compare(predict_fn=lambda q: q, data=rows, scorers=["exact_match"])
    assert one.columns == ["variant", "exact_match", "seconds"]
    targets = {"a": lambda q: q, "b": lambda q: 1 / 0 if q == "y" else q}
    rows.append({**rows[0], "inputs": {"q": "y"}})
    two = pr.compare(predict_fn=targets, data=rows, scorers=["exact_match", "length"])
    assert two.columns == ["variant", "score", "exact_match", "length", "than the first", "p", "grade", "failures", "seconds"]
    assert "expected" in two.to_html()


ASKED: list[str] = []


def answer_noting(q: str) -> str:
    ASKED.append(q)
    return pr.load_prompt("m").format(q=q)


def test_mistakes_are_told_before_anything_is_spent(capsys: pytest.CaptureFixture[str]) -> None:
    """The same variant twice, a gate that cannot be read, names what nobody measures, or has nothing to compare with."""
    from prompt_registry_plugin.cli.main import main

    pr.register_prompt("m", "a {{q}}")
    with pytest.raises(pr.UserError, match="compared twice"):
        pr.compare(
            predict_fn=answer_noting, data=[{"inputs": {"q": "x"}}], scorers=["length"], prompts=["prompts:/m/1", "prompts:/m/1"]
        )
    Path("rows.jsonl").write_text('{"inputs": {"q": "x"}}')
    command = ["eval", "--target", "tests.test_compare:answer_noting", "--data", "rows.jsonl", "--scorer", "length", "--gate"]
    faults = {"length >= 0.8.1": "cannot read", "lenght > 1": "did you mean 'length'", "no regression": "baseline", "": "empty"}
    for gate, said in faults.items():
        with pytest.raises(SystemExit) as caught:
            main([*command, gate])
        assert caught.value.code == 2
        assert said in capsys.readouterr().err
    assert ASKED == []


agent_by_name = pr.PromptAgent("m", "offline:task")


def test_an_agent_may_be_named() -> None:
    """As on the command line: its models and versions are varied all the same."""
    pr.register_prompt("m", "Is it yes or no? Answer with yes or no only. {{q}}")
    found = pr.compare(
        predict_fn="tests.test_compare:agent_by_name",
        data=[{"inputs": {"q": "x"}}],
        scorers=["length"],
        models=["offline:judge", "offline:task"],
    )
    assert ["verdict" in str(v.result.rollouts[0].outputs) for v in found.variants] == [True, False]
