"""What the adapter of a bare client costs: a call of `openai`, `anthropic` or `google-genai` whose answer is made in the process.

    python -m benchmarks.clients [--rounds 15] [--peers]

As `benchmarks.adapters`: the median of the rounds' ratios to the bare client, of a call's median time, and in brackets of the whole
time until everything is stored. The conversations have 2 and 22 messages. `serving` has an adopted prompt, and nothing is recorded.
`--peers` adds OpenInference, as far as it is installed; it knows `openai` only here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr
from benchmarks.adapters import State, nothing, record_run, sample

CLIENTS = ("openai", "anthropic", "google_genai")
RULES = "You are the clerk of the harbour, and answer in one sentence."
HISTORY = [
    {"role": role, "content": f"This is message {i} of the conversation."} for i in range(10) for role in ("user", "assistant")
]

CHAT = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Fine."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
}
MESSAGE = {
    "id": "a",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Fine."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 11, "output_tokens": 7},
}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Fine."}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
}


def workloads() -> dict[str, Callable[[], Any]]:
    """A call of each client."""
    import anthropic
    import openai
    from google import genai

    def mocked(library: ModuleType, answer: Any) -> Any:
        return library.Client(transport=library.MockTransport(lambda request: library.Response(200, json=answer)))

    open_ai = openai.OpenAI(api_key="k", base_url="http://mock/v1", http_client=mocked(library_of(openai), CHAT))
    claude = anthropic.Anthropic(api_key="k", base_url="http://mock", http_client=mocked(library_of(anthropic), MESSAGE))
    options: Any = {"base_url": "http://mock", "httpx_client": mocked(library_of(genai), GEMINI)}
    gemini = genai.Client(api_key="k", http_options=options)
    system = {"role": "system", "content": RULES}
    user = {"role": "user", "content": "How are you?"}
    found: dict[str, Callable[[], Any]] = {}
    for past in ([], HISTORY):
        told: Any = [*past, user]
        given: Any = [{"role": "model" if m["role"] == "assistant" else "user", "parts": [{"text": m["content"]}]} for m in told]
        found |= {
            f"openai chat, {len(told) + 1}": lambda told=told: open_ai.chat.completions.create(
                model="m", messages=[system, *told]
            ),
            f"anthropic, {len(told) + 1}": lambda told=told: claude.messages.create(
                model="m", max_tokens=9, system=RULES, messages=told
            ),
            f"gemini, {len(told) + 1}": lambda given=given: gemini.models.generate_content(
                model="m", contents=given, config={"system_instruction": RULES}
            ),
        }
    return found


def library_of(client: Any) -> ModuleType:
    """The HTTP library of a client: `httpx2` in the newer ones."""
    import httpx

    base = getattr(client, "_base_client", None) or client._api_client
    return getattr(base, "httpx2", None) or httpx


def main() -> None:
    """Measures everything and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", action="store_true", help="also OpenInference, in this run")
    options = parser.parse_args()
    works = workloads()
    with (
        tempfile.TemporaryDirectory() as folder,
        pr.open_registry(f"sqlite:///{folder}/bench.db") as registry,
        pr.open_registry(f"sqlite:///{folder}/adopted.db") as adopted,
        pr.use_registry(registry),
    ):
        adopt_rules(adopted, works["openai chat, 2"])

        def serve(work: Callable[[], Any]) -> Any:
            with pr.use_registry(adopted):
                return work()

        states = {
            "bare": State(nothing, nothing),
            "idle": State(lambda: pr.enable(*CLIENTS), pr.disable),
            "recording": State(lambda: pr.enable(*CLIENTS), pr.disable, record_run, registry.flush),
            "serving": State(lambda: pr.enable(*CLIENTS), pr.disable, serve),
        }
        if options.peers:
            states |= openinference(Path(folder))
        Console(width=140).print(measure(works, states, options.rounds))


def adopt_rules(registry: pr.PromptRegistry, work: Callable[[], Any]) -> None:
    """Adopt the instructions, and serve another version."""
    with pr.use_registry(registry):
        pr.enable(*CLIENTS)
        with pr.record() as trace:
            work()
        rows = registry.coverage(trace)
        [version] = registry.adopt(trace, names={row.name: row.name if row.template == RULES else None for row in rows})
        newer = registry.register_prompt(version.name, RULES.replace("one sentence", "two sentences"))
        registry.set_prompt_alias(version.name, "production", newer.version)
        pr.disable()


def measure(works: dict[str, Callable[[], Any]], states: dict[str, State], rounds: int) -> Table:
    """The table of ratios."""
    table = Table(title="Ratios to the bare client: a call (until everything is stored)", title_justify="left")
    for heading in ("client, messages", *states):
        table.add_column(heading)
    for name, work in works.items():
        found: dict[str, list[tuple[float, float]]] = {state: [] for state in states}
        sample(work, states["bare"])
        for _ in range(rounds):
            for state_name, state in states.items():
                found[state_name].append(sample(work, state))
        bare = found.pop("bare")
        cells = [f"{statistics.median(run for run, _ in bare):,.0f} µs"]
        for times in found.values():
            run, whole = (
                statistics.median(mine[i] / theirs[i] for mine, theirs in zip(times, bare, strict=True)) for i in (0, 1)
            )
            cells.append(f"{run:.2f} ({whole:.2f})")
        table.add_row(name, *cells)
    return table


def openinference(folder: Path) -> dict[str, State]:
    """OpenInference's instrumentation of `openai`, with OpenTelemetry's batch processor and a file."""
    try:
        from openinference.instrumentation.openai import OpenAIInstrumentor
    except ImportError as error:
        print(f"without OpenInference: {error}")
        return {}
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    provider = TracerProvider()
    out = (folder / "spans.jsonl").open("w")
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=out, formatter=lambda span: json.dumps(span.name))))
    peer = OpenAIInstrumentor()
    on = {"tracer_provider": provider, "skip_dep_check": True}
    return {"OpenInference": State(lambda: peer.instrument(**on), peer.uninstrument, flush=provider.force_flush)}


if __name__ == "__main__":
    main()
