"""What it costs to match a text against adopted patterns, and to read a program's sources.

    python -m benchmarks.patterns [--seconds 0.3] [--lines 4000]

Texts have about 2,000 characters and three to five values; patterns share beginnings, and one in twenty begins and ends with a variable.
The ratio compares a text with 1,000 patterns to one with 10: how much the number of patterns matters. A program is written for the
second part, of modules with 200 lines; the ratio compares reading it to what Python needs to compile the same files. Times are those of
the processor, so that other programs on the machine count little.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from prompt_registry_plugin.sources import Sources, module_of
from prompt_registry_plugin.sources import reading as reading_module
from prompt_registry_plugin.templates.pattern import Pattern
from prompt_registry_plugin.templates.pattern_index import PatternIndex

RANDOM = random.Random(1)
WORDS = ["".join(RANDOM.choices("abcdefghijklmnopqrstuvwxyz", k=RANDOM.randint(2, 9))) for _ in range(3000)]


def words(count: int) -> str:
    """Words that are drawn."""
    return " ".join(RANDOM.choices(WORDS, k=count))


def pattern(number: int) -> Pattern:
    """A prompt with instructions, documents and a question."""
    head = "You are a helpful assistant. " if number % 3 == 0 else ""
    body = f"{head}{words(30)}\n{{{{rules}}}}\n{words(100)}\n\n{{{{documents}}}}\n{words(100)} {{{{question}}}} {words(20)}"
    return Pattern.from_template(f"{{{{before}}}}\n{body}\n{{{{after}}}}" if number % 20 == 19 else body)


def microseconds(work: Callable[[], object], seconds: float) -> float:
    """The time of a call, over as many calls as fit."""
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(50):
            work()
        count += 50
    return (time.process_time() - began) / count * 1e6


def match_texts(seconds: float) -> None:
    """Print the time of a text by the number of patterns, and what the number of patterns does to it."""
    print(f"{'patterns':>8}  {'a match':>10}  {'no match':>10}  {'hostile, 1 MB':>14}")
    first: tuple[float, float] | None = None
    for count in (10, 100, 1_000):
        patterns = {number: pattern(number) for number in range(count)}
        index = PatternIndex(patterns)
        hits = [it.render({name: words(20) for name in it.names}) for it in RANDOM.sample(list(patterns.values()), 10)]
        misses = [words(330) for _ in range(10)]
        assert all(index.match(text) for text in hits)
        assert not any(index.match(text) for text in misses)

        def each(texts: Sequence[str], index: PatternIndex[int] = index) -> float:
            return microseconds(lambda: [index.match(text) for text in texts], seconds) / len(texts)

        times = each(hits), each(misses)
        first = first or times
        hostile = each(["a" * 1_000_000])
        print(
            f"{count:8}  {times[0]:7.1f} µs  {times[1]:7.1f} µs  {hostile:11.0f} µs"
            f"   {times[0] / first[0]:.2f} and {times[1] / first[1]:.2f} times that of 10"
        )


def module_source(number: int) -> str:
    """A module of about 200 lines: constants, functions that build texts, and code that does not."""
    lines = [f'"""Module {number}."""', "import os", ""]
    for i in range(14):
        lines += [
            f'PROMPT_{i} = """{words(40)} {{name}}',
            f'{words(30)} {{question}}"""',
            "",
            f"def build_{i}(state, docs):",
            f'    text = f"{words(20)} {{state.user.name}} {words(10)}"',
            "    for doc in docs:",
            '        text += f"- {doc.title}: {doc.text}"',
            "    if state.verbose:",
            f'        text += "{words(15)}"',
            "    total = sum(len(doc.text) for doc in docs) * 2 + os.getpid()",
            f"    return PROMPT_{i}.format(name=text, question=total)",
            "",
        ]
    return "\n".join(lines)


def read_sources(lines: int, seconds: float) -> None:
    """Print the time to read a program, again, and to look a text up in it."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number in range(max(1, lines // 200)):
            files.append(Path(folder) / f"module_{number}.py")
            files[-1].write_text(module_source(number))
        modules = [module_of(str(file)) for file in files]
        count = sum(file.read_text().count("\n") for file in files)
        began = time.process_time()
        for file in files:
            compile(file.read_bytes(), str(file), "exec")
        compiled = time.process_time() - began
        began = time.process_time()
        sources = Sources(modules)
        first = time.process_time() - began
        print(f"\n{len(files)} modules, {count:,} lines, {len(sources.templates)} templates")
        print(f"  read once      {first * 1e3:7.1f} ms   {first / compiled:.2f} times compiling the same files")
        print(f"  read again     {microseconds(lambda: reading_module.read_program(modules), seconds) / 1e3:7.1f} ms")
        text = (
            next(t for t in sources.templates if t.kind == "format")
            .template.replace("{{name}}", "Ann")
            .replace("{{question}}", "Why?")
        )
        print(f"  find a text    {microseconds(lambda: sources.find(text), seconds):7.1f} µs")


def main() -> None:
    """Measure both and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=0.3, help="time for each figure")
    parser.add_argument("--lines", type=int, default=4_000, help="size of the program that is read")
    options = parser.parse_args()
    match_texts(options.seconds)
    read_sources(options.lines, options.seconds)


if __name__ == "__main__":
    main()
