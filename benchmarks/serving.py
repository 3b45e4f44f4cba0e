"""What serving adopted texts costs: the time of a text at the message boundary, with 1,000 adopted templates.

    python -m benchmarks.serving [--templates 1000] [--rounds 7]

Shows the median, over rounds, of the CPU time of one call of `serve_text`: nothing adopted and nobody recording; a text that no
template fits; a text whose prompt is still the code's text; one that another version replaces; one that was served before. The last
column is the ratio to a SHA-256 hash of the same texts, which tells a slow machine from slow code.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr
from prompt_registry_plugin.frameworks.prompts import serve_text
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.records import TextBinding, digest

TEXTS = 200  # texts of a sample
WORDS = "answer question customer polite short always never mention the a of in with number summary report agent tool search list".split()


def template(number: int, seed: random.Random) -> str:
    """Return a template of some 60 words with three variables; many begin alike, as those of one author do."""
    words = [seed.choice(WORDS) for _ in range(60)]
    words[20], words[35], words[50] = "{{name}},", "{{topic}}.", "{{date}}"
    return f"You are a helpful assistant of team {number % 7}. Your task is {number}: {' '.join(words)}"


def fill(text: str, i: int) -> str:
    """Return the text of a template with values."""
    return text.replace("{{name}}", f"Ada {i}").replace("{{topic}}", f"topic number {i}").replace("{{date}}", "2026-11-25")


def prepare(count: int) -> list[str]:
    """Adopt `count` templates, promote another version of every second one, and return the templates."""
    registry, seed = pr.current_registry(), random.Random(1)
    templates = [template(i, seed) for i in range(count)]
    drafts = [NewVersion(f"agent/p{i}", text, created_by="benchmark") for i, text in enumerate(templates)]
    bindings = [
        TextBinding(digest(text), "agent/node", "system", f"agent/p{i}", "production", 0) for i, text in enumerate(templates)
    ]
    registry.store.prompts.adopt(drafts, bindings, by="benchmark", reason=None)
    registry.register_prompts([NewVersion(f"agent/p{i}", f"Now: {text}") for i, text in enumerate(templates) if i % 2])
    for i in range(1, min(count, 2 * TEXTS), 2):
        registry.set_prompt_alias(f"agent/p{i}", "production", 2)
    return templates


def microseconds(call: Callable[[str], object], texts: Sequence[str]) -> float:
    """Return the time of one call, the mean over the texts."""
    began = time.thread_time_ns()
    for text in texts:
        call(text)
    return (time.thread_time_ns() - began) / 1000 / len(texts)


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--templates", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    def serve(text: str) -> str:
        return serve_text(text, "system")

    with (
        tempfile.TemporaryDirectory() as folder,
        pr.open_registry(f"sqlite:///{folder}/serving.db") as registry,
        pr.use_registry(registry),
    ):
        seed = random.Random(2)
        unknown = ["Another text: " + " ".join(seed.choices(WORDS, k=60)) for _ in range(TEXTS)]
        results: dict[str, list[float]] = {}

        def measure(name: str, texts: Sequence[str]) -> None:
            serve(texts[0])
            results.setdefault(name, []).append(microseconds(serve, texts))

        for _ in range(options.rounds):
            measure("nothing adopted", unknown)
        templates = prepare(options.templates)
        began = time.perf_counter()
        registry.loader.adopted_texts()
        built = (time.perf_counter() - began) * 1000
        for i in range(1, options.rounds + 1):
            same = [fill(templates[2 * j], i) for j in range(TEXTS)]
            other = [fill(templates[2 * j + 1], i) for j in range(TEXTS)]
            if i == 1:
                for text in (*same, *other):
                    serve(text)
                other = [fill(templates[2 * j + 1], -1) for j in range(TEXTS)]
            measure(f"{options.templates} adopted: a text that none fits", unknown)
            measure("a text whose prompt is the code's text", same)
            measure("a text that another version replaces", other)
            measure("a text that was served before", [serve(text) for text in other])
            results.setdefault("hash", []).append(microseconds(lambda t: hashlib.sha256(t.encode()).hexdigest(), same))
    table = Table(
        title=f"Serving, in microseconds of CPU time a text; building the index once took {built:.0f} ms", title_justify="left"
    )
    for column in ("what", "median", "of a hash"):
        table.add_column(column)
    hash_time = statistics.median(results.pop("hash"))
    for name, times in results.items():
        median = statistics.median(times)
        table.add_row(name, f"{median:.1f}", f"{median / hash_time:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
