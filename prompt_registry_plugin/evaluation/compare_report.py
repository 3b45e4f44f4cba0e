"""Reports of a comparison: as a table, a matrix, JSON data, a pandas frame, JUnit XML and an HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

from prompt_registry_plugin.datasets.dataset import frame_of
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.grades import LIKELY, gain_of, probability
from prompt_registry_plugin.evaluation.html import page
from prompt_registry_plugin.evaluation.variant import MEASURES, Variant
from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.masking.controls import visible
from prompt_registry_plugin.records import Example, Interval, Rollout

# A build server shows names and messages in lists. An input or an error may have any length.
_MAX_NAME = 120
_MAX_ERROR = 500
_GRADES = f"; a grade is proven, likely (better with a probability of {LIKELY:g} or more), open (the probability) or worse"

Column = tuple[str, Callable[[Variant], str]]
"""A heading, and what to show of a variant below it."""


def table_columns(variants: Sequence[Variant]) -> list[Column]:
    """Return the columns of the table, without those that say nothing about any variant."""
    several = len(variants) > 1
    results = [variant.result for variant in variants]
    scorers = variants[0].result.scorers
    # The aggregated score of a single scorer is that scorer's own, unless a custom aggregation changed it.
    aggregated = len(scorers) > 1 or any(result.score != result.scores[name] for result in results for name in scorers)
    columns: list[tuple[str, Callable[[Variant], str], bool]] = [
        ("variant", lambda v: v.name, True),
        ("score", lambda v: str(v.result.score), aggregated),
        *((name, _show_scorer(name), True) for name in scorers),
        ("than the first", lambda v: "" if v.difference is None else gain_of(v.difference), several),
        ("p", lambda v: "" if v.p_value is None else f"{v.p_value:.4f}", several),
        ("grade", _show_grade, several),
        ("rows with the prompt", _show_reached, any(_show_reached(variant) for variant in variants)),
        ("failures", lambda v: str(len(v.result.failures)), any(result.failures for result in results)),
        ("no score", lambda v: str(len(v.result.unscored)), any(result.unscored for result in results)),
        ("seconds", lambda v: f"{v.result.seconds.mean:.2f}", True),
        ("tokens", lambda v: f"{v.measure('tokens'):.0f}", any(result.usage.calls for result in results)),
        ("cost", _show_cost, any(result.cost for result in results)),
    ]
    return [(heading, show) for heading, show, is_informative in columns if is_informative]


def _show_grade(variant: Variant) -> str:
    if variant.difference is None or variant.grade is None:
        return ""
    is_settled = variant.grade in ("proven", "worse")
    return variant.grade if is_settled else f"{variant.grade} ({probability(variant.difference.p_better)})"


def _show_reached(variant: Variant) -> str:
    """Return on how many rows the prompts were rendered, if some rows were routed elsewhere."""
    reached, rows = variant.result.reached, len(variant.result.rollouts)
    if all(count == rows for count in reached.values()):
        return ""
    return ", ".join(str(count) if len(reached) == 1 else f"{name} {count}" for name, count in reached.items())


def _show_scorer(name: str) -> Callable[[Variant], str]:
    return lambda variant: str(variant.result.scores[name])


def _show_cost(variant: Variant) -> str:
    cost = variant.measure("cost")
    return "–" if cost is None else f"${cost:.6f}"


def matrix_of(variants: Sequence[Variant], measure: str) -> list[list[str]]:
    """Return a row for each prompt and a column for each model, with headings; empty unless there are several of both."""
    prompts = list(dict.fromkeys(variant.prompt for variant in variants))
    models = list(dict.fromkeys(variant.model for variant in variants))
    if len(prompts) < 2 or len(models) < 2 or len(variants) != len(prompts) * len(models):
        return []
    cells = {(variant.prompt, variant.model): _matrix_cell(variant, measure) for variant in variants}
    return [[measure, *models], *([prompt, *(cells[prompt, model] for model in models)] for prompt in prompts)]


def _matrix_cell(variant: Variant, measure: str) -> str:
    interval = {"score": variant.result.score, **variant.result.scores}.get(measure)
    if interval is not None:
        return str(interval)
    value = variant.measure(measure)
    if value is None:
        raise UserError(f"{measure!r} is not known here; there are {', '.join([*MEASURES, *variant.result.scorers])}")
    return f"{value:.4g}"


def note_on(variants: Sequence[Variant], examples: Sequence[Example]) -> str:
    """Return a sentence on what the figures are."""
    n = len(variants) - 1
    correction = f"; p-values are corrected for {n} comparisons (Holm)" if n > 1 else ""
    unscored = [rollout.unscored for variant in variants for rollout in variant.result.unscored]
    left_out = f"; {len(unscored)} answers without a score are left out, such as: {unscored[0]}" if unscored else ""
    grades = _GRADES if n else ""
    paired = f"differences are paired with {variants[0].name}, intervals hold 95 %"
    return f"{len(examples)} rows; {paired}{correction}{grades}{left_out}"


def to_json(variants: Sequence[Variant], examples: Sequence[Example]) -> dict[str, Any]:
    """Return all figures, and the scores of every example, as JSON data."""
    return {
        "variants": [
            {
                "name": v.name,
                "measures": {name: v.measure(name) for name in (*MEASURES, *v.result.scorers)},
                "interval": [v.result.score.low, v.result.score.high],
                "difference": v.difference and _bounds(v.difference.difference),
                "p_value": v.p_value,
                "p_better": v.difference and v.difference.p_better,
                "grade": v.grade,
                "scores": [rollout.score for rollout in v.result.rollouts],
                "errors": [rollout.error for rollout in v.result.rollouts],
                "unscored": [rollout.unscored for rollout in v.result.rollouts],
            }
            for v in variants
        ],
        "examples": [{"id": e.id, "inputs": dict(e.inputs), "expectations": dict(e.expectations)} for e in examples],
    }


def _bounds(interval: Interval) -> list[float | None]:
    return [interval.mean, interval.low, interval.high]


def to_frame(variants: Sequence[Variant], examples: Sequence[Example]) -> Any:
    """Return a pandas frame with a row for each variant and example. Raises `UserError` without pandas."""
    return frame_of(
        {"variant": v.name, **e.inputs, "output": r.outputs, "score": r.score, "error": r.error, "unscored": r.unscored,
         "seconds": r.seconds,
         **{name: score.value for name, score in r.scores.items()}}
        for v in variants for e, r in zip(examples, v.result.rollouts, strict=True)
    )  # fmt: skip


def to_junit(variants: Sequence[Variant], examples: Sequence[Example], gate: str | None, reasons: Sequence[str]) -> str:
    """Return JUnit XML. `reasons` say why the gate is not passed."""
    root = ElementTree.Element("testsuites")
    for variant in variants:
        _add_suite(root, variant, examples)
    if gate is not None:
        suite = ElementTree.SubElement(root, "testsuite", name="gate", tests="1", failures=str(int(bool(reasons))))
        case = ElementTree.SubElement(suite, "testcase", name=gate, classname="gate")
        if reasons:
            ElementTree.SubElement(case, "failure", message="; ".join(reasons))
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _add_suite(root: ElementTree.Element, variant: Variant, examples: Sequence[Example]) -> None:
    attributes = {"name": variant.name, "tests": str(len(examples)), "errors": str(len(variant.result.failures)),
                  "skipped": str(len(variant.result.unscored))}  # fmt: skip
    suite = ElementTree.SubElement(root, "testsuite", attributes)
    for example, rollout in zip(examples, variant.result.rollouts, strict=True):
        name = _printable(", ".join(f"{name}={value}" for name, value in example.inputs.items()))[:_MAX_NAME]
        attributes = {"name": name, "classname": variant.name, "time": f"{rollout.seconds:.3f}"}
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if rollout.error is not None:
            ElementTree.SubElement(case, "error", message=_printable(rollout.error)[:_MAX_ERROR])
        elif rollout.unscored is not None:
            ElementTree.SubElement(case, "skipped", message=_printable(rollout.unscored)[:_MAX_ERROR])
        else:
            ElementTree.SubElement(case, "system-out").text = f"score {rollout.score:g}"


def _printable(text: str) -> str:
    """Return a text with control characters visible, since XML cannot hold them, and without secrets."""
    return visible(clean(text))


def to_html(variants: Sequence[Variant], examples: Sequence[Example], table: Sequence[Sequence[str]]) -> str:
    """Return a page with the table, headings first, and for each example every variant's answer and score."""
    answers: list[tuple[Example, list[Rollout]]] = [
        (example, [variant.result.rollouts[i] for variant in variants]) for i, example in enumerate(examples)
    ]
    return page(
        "comparison.html.j2", table=table, note=note_on(variants, examples), matrix=matrix_of(variants, "score"),
        names=[variant.name for variant in variants], answers=answers,
    )  # fmt: skip
