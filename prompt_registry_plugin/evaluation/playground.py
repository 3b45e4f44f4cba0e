"""Try a prompt: one set of values, several versions and models, side by side. Saved trials are traces and can become examples."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.concurrency import all_of, blocking
from prompt_registry_plugin.datasets.dataset import frame_of
from prompt_registry_plugin.datasets.examples import step_of
from prompt_registry_plugin.errors import PromptRegistryError, UserError
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.models.prompt_agent import PromptAgent, structured
from prompt_registry_plugin.models.settings import collect_notes
from prompt_registry_plugin.plain.messages import text_or_calls
from prompt_registry_plugin.prompts.context import recording
from prompt_registry_plugin.protocols import AnyModel
from prompt_registry_plugin.recording.costs import with_costs
from prompt_registry_plugin.records import EMPTY, Usage, digest
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.registry.functions import search_traces
from prompt_registry_plugin.registry.tracked_runs import tracked_run
from prompt_registry_plugin.tracing.calls import call_text
from prompt_registry_plugin.tracing.recorder import TraceRecorder, span
from prompt_registry_plugin.uri import as_uri

_NAME = "try"
_COLUMNS = ("prompt", "model", "output", "seconds", "tokens", "cost", "error", "run_id", "trace_id")


@dataclass(frozen=True, slots=True)
class Trial:
    """One answer of one model to one version of a prompt."""

    prompt: str
    """The URI of the version."""
    model: str
    """The name of the model."""
    output: str
    """The answer; when the model failed, the part of it that came before. Tool calls are lines such as `→ search(query="card")`."""
    seconds: float
    """From the request to the end of the answer."""
    usage: Usage = field(default_factory=Usage)
    """Tokens of the answer, as the model reports them."""
    cost: float | None = None
    """US dollars; None when the model's price is not known."""
    error: str | None = None
    """Why the model failed; None when it did not."""
    simulated: bool = False
    """Whether the model is a simulated one, whose answers say nothing about real models."""
    trace_id: str | None = None
    """The stored trace; None when the trial was not saved."""
    answer: Any = None
    """The answer as a scorer gets it: `output`, the data in it if the prompt asks for JSON, or a mapping with `tool_calls`."""
    notes: Sequence[str] = ()
    """Sentences about settings that the model does not take."""


OnPiece = Callable[[int, str], None]
"""Receives (index of the trial, piece of its answer) as answers arrive."""


async def atry_prompts(
    prompts: str | Sequence[str],
    values: Mapping[str, Any],
    *,
    models: Sequence[AnyModel] = (),
    params: Mapping[str, Any] = EMPTY,
    input: str | None = None,
    save: bool = False,
    on_piece: OnPiece | None = None,
) -> list[Trial]:
    """Ask every model with every version, all at once; without `models`, the one in each prompt's `model_config`.

    `values` are the prompts' variables, `params` (such as `temperature`) go to the models, with the settings of each version. With
    `input`, the user's text, a text prompt is sent as the system message and `input` as the user's; a prompt with a variable `input`
    gets it there. Without it, a text prompt is the user's message, unless `values` hold the user's (see `PromptAgent`).

    With `save`, each answer is stored as a trace, which `load_table`, `search_traces` and `Dataset.from_traces` return. `on_piece`
    receives (index of the trial, text) as answers arrive. A model that fails gives a trial with an error.

    Raises `UserError`, before any model is asked, for missing values and unknown models.
    """
    named = [prompts] if isinstance(prompts, str) else list(prompts)
    registry = current_registry()
    # An alias may move while models answer. It is resolved once, so that all trials and traces name the same version.
    agents = [
        PromptAgent(registry.load_prompt(as_uri(name)).uri, model, **({} if input is None else {"input": "input"}), **params)
        for name in named
        for model in models or (None,)
    ]
    values = values if input is None else {**values, "input": input}
    for agent in agents:
        if problem := agent.check(values):
            raise UserError(problem)
        await agent.model_of(registry.load_prompt(agent.prompt)).check()

    async def run(index: int, agent: PromptAgent) -> Trial:
        return await _run_trial(agent, values, save, lambda piece: on_piece(index, piece) if on_piece else None)

    trials = await all_of(run(index, agent) for index, agent in enumerate(agents))
    if save:
        await asyncio.to_thread(registry.flush)
    return trials


try_prompts = blocking(atry_prompts)


async def _run_trial(agent: PromptAgent, values: Mapping[str, Any], save: bool, on_piece: Callable[[str], None]) -> Trial:
    registry = current_registry()
    version = registry.load_prompt(agent.prompt)
    model, params = agent.model_of(version), agent.params_of(version)
    config = {"prompt": version.uri, "model": mask_secrets(agent.spec_of(version)), **params}
    run_id = digest(config)
    trace, pieces, error = TraceRecorder(_NAME, run_id=run_id if save else None), list[str](), None
    calls: list[Mapping[str, Any]] = []
    answer: Any = ""
    started = time.perf_counter()
    settings = {name: value if name in ("prompt", "model") else json.dumps(value) for name, value in config.items()}
    with tracked_run("try", agent.name, params=settings, run_id=run_id) if save else nullcontext():
        with recording(trace), collect_notes() as notes:
            try:
                with span("chain", _NAME, {"inputs": dict(values), "prompt": version.uri, "model": model.name}) as span_id:
                    async for piece in agent.stream(values):
                        if not isinstance(piece, str):
                            calls.append(piece)
                            piece = f"{'' if len(calls) == 1 and not pieces else chr(10)}{call_text(piece['name'], piece.get('arguments'))}"
                        else:
                            answer += piece
                        pieces.append(piece)
                        on_piece(piece)
                    answer = structured(text_or_calls(answer, calls), params)
                    trace.finish(span_id, attributes={"output": answer})
            except asyncio.CancelledError:
                raise
            except PromptRegistryError as caught:
                error = str(caught)
        seconds = time.perf_counter() - started
        if save:
            registry.store.traces.add(trace)
    cost = _sum_known(s.attributes.get("cost") for s in with_costs(trace, registry.plugins).spans if s.kind == "llm")
    output, usage = "".join(pieces), trace.usage
    trace_id = trace.id if save else None
    return Trial(
        version.uri, model.name, output, seconds, usage, cost, error, model.simulated, trace_id, None if error else answer, notes
    )


def load_table() -> Any:
    """Return every saved trial as a pandas frame, newest first.

    The columns are prompt, model, one for each variable, output, seconds, tokens (input and output), cost (US dollars), error, run_id
    and trace_id. A variable with the name of another column is in `inputs.` and its name. Raises `UserError` without pandas.
    """
    rows = []
    for trace in search_traces(name=_NAME, max_results=10_000_000):
        step, attempt = step_of(trace) or (EMPTY, None), next((s for s in trace.spans if s.name == _NAME), None)
        if attempt is None:  # a trace of the user's own with the same name
            continue
        calls = [s for s in trace.spans if s.kind == "llm"]
        rows.append({
            "prompt": attempt.attributes.get("prompt"),
            "model": attempt.attributes.get("model"),
            **{f"inputs.{name}" if name in _COLUMNS else name: value for name, value in step[0].items()},
            "output": attempt.attributes.get("output"),
            "seconds": attempt.seconds,
            "tokens": trace.usage.input_tokens + trace.usage.output_tokens,
            "cost": _sum_known(s.attributes.get("cost") for s in calls),
            "error": attempt.error,
            "run_id": trace.run_id,
            "trace_id": trace.id,
        })  # fmt: skip
    return frame_of(rows)


def _sum_known(costs: Iterable[float | None]) -> float | None:
    """Return the sum; None when one of them is not known, or the list is empty."""
    known = list(costs)
    return None if not known or None in known else sum(cost for cost in known if cost is not None)
