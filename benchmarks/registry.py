"""The registry beside MLflow, Langfuse and plain `sqlite3`, in one run, as ratios. By hand, never as a test:

    pip install mlflow langfuse           # in an environment of their own; what is missing is left out
    python -m benchmarks.registry         # --skip-scale leaves out the large registry, --postgres URL adds a server

Each operation is timed in rounds that alternate between the contestants, and the median of the rounds' medians is shown: what else
the machine does then hits all of them alike. Langfuse talks to a stub of its server on loopback, in a process of its own. No part takes
longer than `--seconds`: what is not done by then is left out, and the table says so. That work does not grow where it should not is
tested, in `tests/test_growth.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr
from prompt_registry_plugin.store.sql.search import Query
from prompt_registry_plugin.uri import PromptURI

TEXT = "You are {{who}}. Answer the question {{question}} in {{language}}, briefly and with a source."
VALUES = {"who": "a clerk", "question": "How do I pay?", "language": "English"}
ROUNDS = 9
Contest = dict[str, tuple[Callable[[], Any], int]]  # who -> (operation, how often a round)

STUB = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version, wbufsize, disable_nagle_algorithm = "HTTP/1.1", -1, True  # one packet an answer
    def do_GET(self):
        body = json.dumps({
            "id": "1", "name": "p1", "version": 1, "type": "text", "prompt": sys.argv[1], "config": {}, "labels": ["production"],
            "tags": [], "resolutionGraph": None, "commitMessage": None, "createdAt": "2026-01-01T00:00:00Z", "projectId": "x",
            "updatedAt": "2026-01-01T00:00:00Z", "createdBy": "x", "isActive": True,
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def tell(text: str) -> None:
    """Say on standard error what is being done."""
    print(text, file=sys.stderr, flush=True)


def measure(contest: Contest, seconds: float) -> dict[str, float]:
    """The median time of each operation in microseconds, of as many rounds as fit."""
    medians: dict[str, list[float]] = {who: [] for who in contest}
    end = time.monotonic() + seconds
    for number in range(ROUNDS):
        if number and time.monotonic() > end:
            tell(f"  stopped after {number} of {ROUNDS} rounds")
            break
        for who, (operation, times) in contest.items():
            samples = []
            for _ in range(times):
                before = time.perf_counter_ns()
                operation()
                samples.append((time.perf_counter_ns() - before) / 1000)
            medians[who].append(statistics.median(samples))
    return {who: statistics.median(found) for who, found in medians.items()}


def fill(registry: pr.PromptRegistry, prompts: int, versions: int, seconds: float) -> tuple[int, float]:
    """How many prompts fit, and versions written a second; each prompt has the alias `production`, and ten of all the tag `team=care`."""
    started = time.perf_counter()
    step = 1000
    filled = 0
    for start in range(0, prompts, step):
        if filled and time.perf_counter() - started > seconds:
            tell(f"  stopped at {filled:,} of {prompts:,} prompts")
            break
        registry.register_prompts(
            [
                pr.protocols.NewVersion(
                    f"p{i}", f"{TEXT} {i} {n}", tags={"team": "care" if i % (prompts // 10) == 0 else f"t{i % 97}"}
                )
                for i in range(start, min(start + step, prompts))
                for n in range(versions)
            ]
        )
        filled = min(start + step, prompts)
        if filled % 10_000 == 0:
            tell(f"  {filled:,} of {prompts:,} prompts")
    spent = time.perf_counter() - started
    rows = [(f"p{i}", "production", versions) for i in range(filled)]
    with registry.store.database.change() as transaction:  # type: ignore[attr-defined]
        transaction.execute_many("INSERT INTO prompt_aliases VALUES (?, ?, ?)", rows)
    return filled, filled * versions / spent


def compare(folder: Path, postgres: str | None, seconds: float) -> list[tuple[str, dict[str, float]]]:
    """What each operation costs each contestant."""
    ours = pr.open_registry(f"sqlite:///{folder / 'ours.db'}")
    tell("filling a registry of 1,000 prompts with 20 versions")
    fill(ours, 1000, 20, seconds)
    shared = pr.open_registry(postgres) if postgres else None
    if shared is not None:
        shared.register_prompts([pr.protocols.NewVersion("p1", f"{TEXT} {i}") for i in range(20)])
        shared.set_prompt_alias("p1", "production", 20)
    uri, reference = "prompts:/p1@production", PromptURI("p1", alias="production")
    loaded: Contest = {"ours": (lambda: ours.load_prompt(uri), 2000)}
    fetched: Contest = {"ours": (lambda: ours.store.prompts.get(reference), 500)}
    version = ours.load_prompt(uri)
    rendered: Contest = {"ours": (lambda: version.format(**VALUES), 2000)}
    counter = iter(range(10**9))
    written: Contest = {"ours": (lambda: ours.register_prompt("w", f"{TEXT} {next(counter)}"), 30)}
    if shared is not None:
        loaded["ours, PostgreSQL"] = (lambda: shared.load_prompt(uri), 2000)
        fetched["ours, PostgreSQL"] = (lambda: shared.store.prompts.get(reference), 200)
        written["ours, PostgreSQL"] = (lambda: shared.register_prompt("w", f"{TEXT} {next(counter)}"), 30)
    plain(folder, loaded, fetched, rendered, written)
    mlflow(folder, loaded, fetched, rendered, written)
    stop = langfuse(loaded, fetched, rendered)
    contests = {
        "load, cached": loaded,
        "load by alias, not cached, 1,000 prompts × 20": fetched,
        "render three variables": rendered,
        "register one version": written,
    }
    try:
        found = []
        for what, contest in contests.items():
            tell(what)
            found.append((what, measure(contest, seconds)))
        return found
    finally:
        stop()
        ours.close()
        if shared is not None:
            shared.close()


def plain(folder: Path, loaded: Contest, fetched: Contest, rendered: Contest, written: Contest) -> None:
    """What SQLite itself costs: one table, a dictionary that is checked by `PRAGMA data_version`, `str.replace`."""
    db = sqlite3.connect(folder / "plain.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE v (name TEXT, version INTEGER, text TEXT, PRIMARY KEY (name, version)) WITHOUT ROWID")
    db.execute("CREATE TABLE a (name TEXT, alias TEXT, version INTEGER, PRIMARY KEY (name, alias)) WITHOUT ROWID")
    db.executemany("INSERT INTO v VALUES (?, ?, ?)", [(f"p{i}", n, f"{TEXT} {i} {n}") for i in range(1000) for n in range(1, 21)])
    db.executemany("INSERT INTO a VALUES (?, 'production', 20)", [(f"p{i}",) for i in range(1000)])
    kept = {"p1": "text"}
    sql = "SELECT v.text FROM a JOIN v ON v.name = a.name AND v.version = a.version WHERE a.name = ? AND a.alias = ?"
    loaded["plain sqlite3"] = (lambda: (db.execute("PRAGMA data_version").fetchone(), kept["p1"]), 2000)
    fetched["plain sqlite3"] = (lambda: db.execute(sql, ("p1", "production")).fetchone(), 500)

    def replace() -> str:
        text = TEXT
        for key, value in VALUES.items():
            text = text.replace("{{" + key + "}}", value)
        return text

    rendered["plain sqlite3"] = (replace, 2000)
    counter = iter(range(10**9))
    insert = "INSERT INTO v SELECT 'w', coalesce(max(version), 0) + 1, ? FROM v WHERE name = 'w'"
    written["plain sqlite3"] = (lambda: db.execute(insert, (f"{TEXT} {next(counter)}",)), 30)


def mlflow(folder: Path, loaded: Contest, fetched: Contest, rendered: Contest, written: Contest) -> None:
    """MLflow on a SQLite file of its own."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    try:
        import mlflow as peer
    except ImportError:
        return
    import logging

    logging.disable(logging.INFO)
    peer.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    peer.genai.register_prompt("p1", TEXT)
    peer.genai.set_prompt_alias("p1", "production", 1)
    prompt = peer.genai.load_prompt("prompts:/p1@production")
    loaded["mlflow"] = (lambda: peer.genai.load_prompt("prompts:/p1@production"), 200)
    fetched["mlflow"] = (lambda: peer.genai.load_prompt("prompts:/p1@production", cache_ttl_seconds=0), 10)
    rendered["mlflow"] = (lambda: prompt.format(**VALUES), 1000)
    counter = iter(range(10**9))
    written["mlflow"] = (lambda: peer.genai.register_prompt("w", f"{TEXT} {next(counter)}"), 5)


def langfuse(loaded: Contest, fetched: Contest, rendered: Contest) -> Callable[[], None]:
    """Langfuse's client against a stub of its server. Returns what stops the stub."""
    try:
        from langfuse import Langfuse
    except ImportError:
        return lambda: None
    stub = subprocess.Popen([sys.executable, "-c", STUB, TEXT], stdout=subprocess.PIPE, text=True)
    assert stub.stdout is not None
    address = f"http://127.0.0.1:{stub.stdout.readline().strip()}"
    client = Langfuse(public_key="pk", secret_key="sk", base_url=address, tracing_enabled=False)
    prompt = client.get_prompt("p1", label="production", cache_ttl_seconds=3600)
    loaded["langfuse"] = (lambda: client.get_prompt("p1", label="production", cache_ttl_seconds=3600), 2000)
    fetched["langfuse"] = (lambda: client.get_prompt("p1", label="production", cache_ttl_seconds=0), 50)
    rendered["langfuse"] = (lambda: prompt.compile(**VALUES), 2000)
    return stub.terminate


def cold_threads(folder: Path) -> int:
    """How many fetches 32 threads need that want one prompt that nobody loaded yet."""
    registry = pr.open_registry(f"sqlite:///{folder / 'ours.db'}")
    fetches = 0
    original = registry.store.prompts.get

    def count_and_get(*args: Any, **kwargs: Any) -> Any:
        nonlocal fetches
        fetches += 1
        time.sleep(0.01)
        return original(*args, **kwargs)

    registry.store.prompts.get = count_and_get  # type: ignore[method-assign]
    barrier = threading.Barrier(32)

    def load() -> None:
        barrier.wait()
        registry.load_prompt("prompts:/p1@production")

    threads = [threading.Thread(target=load) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    registry.close()
    return fetches


def scale(folder: Path, console: Console, large: int, seconds: float) -> None:
    """The same operations in a small and in a large registry, with prompts of five versions, and how SQLite carries them out."""
    searches = {
        "search by tag": "tags.team = 'care'",
        "search by an alias that every prompt has": "alias = 'production' AND name = 'p7'",
        "search by words": "text MATCH 'clerk 777'",
        "first page of all": None,
    }
    results: list[tuple[int, dict[str, float]]] = []
    for count in (1_000, large):
        tell(f"filling a registry of {count:,} prompts")
        with pr.open_registry(f"sqlite:///{folder / f'{count}.db'}") as registry:
            results.append(measure_at(registry, count, searches, seconds))
            if count == large:
                show_plans(registry, searches, console)
    (few, in_small), (many, in_large) = results
    table = Table(title=f"{few:,} against {many:,} prompts of five versions", title_justify="left")
    for heading in ("", f"{few:,}", f"{many:,}", "ratio"):
        table.add_column(heading)
    for what, small in in_small.items():
        big = in_large[what]
        shown = (f"{small:,.0f}", f"{big:,.0f}") if "second" in what else (f"{small:.1f} µs", f"{big:.1f} µs")
        table.add_row(what, *shown, f"{big / small:.2f}")
    console.print(table)


def measure_at(
    registry: pr.PromptRegistry, count: int, searches: dict[str, str | None], seconds: float
) -> tuple[int, dict[str, float]]:
    """How many prompts the registry got, of `count`, and what each operation takes there."""
    filled, rate = fill(registry, count, 5, seconds)
    tell(f"measuring with {filled:,} prompts")
    reference = iter(PromptURI(f"p{i * 7919 % filled}", alias="production") for i in range(10**9))
    contest: Contest = {"load by alias, not cached": (lambda: registry.store.prompts.get(next(reference)), 500)}
    for what, filter_string in searches.items():
        contest[what] = (lambda text=filter_string: registry.search_prompts(text), 20)
    return filled, {"versions written a second": rate, **measure(contest, seconds)}


def show_plans(registry: pr.PromptRegistry, searches: dict[str, str | None], console: Console) -> None:
    """How SQLite carries the searches out."""
    database = registry.store.database  # type: ignore[attr-defined]
    console.print("How SQLite carries them out:", style="bold")
    for what, filter_string in searches.items():
        query = Query(database.dialect, filter_string, 100, (), None)
        plan = database.read(f"EXPLAIN QUERY PLAN {query.sql}", query.parameters)
        console.print(f"  {what}: {'; '.join(row[3] for row in plan)}", highlight=False)


def main() -> None:
    """Runs everything and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--skip-scale", action="store_true", help="leave out the large registry")
    parser.add_argument("--large", type=int, default=100_000, help="prompts in the large registry (default: 100,000)")
    parser.add_argument(
        "--seconds", type=float, default=120, help="the longest that filling or measuring may take (default: 120)"
    )
    parser.add_argument("--postgres", help="the URL of an empty registry in PostgreSQL, to be measured too")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    console = Console(width=140)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = compare(folder, options.postgres, options.seconds)
        who = list(dict.fromkeys(name for _, row in found for name in row))
        table = Table(title="Median time, and how many times ours it is", title_justify="left")
        for heading in ("", *who):
            table.add_column(heading)
        for what, row in found:
            table.add_row(what, *(f"{row[name]:,.1f} µs  {row[name] / row['ours']:.1f}×" if name in row else "–" for name in who))
        console.print(table)
        console.print(f"32 threads that want one prompt nobody loaded yet: {cold_threads(folder)} fetch(es)", highlight=False)
        if options.json:
            options.json.write_text(json.dumps(dict(found), indent=2))
        if not options.skip_scale:
            scale(folder, console, options.large, options.seconds)


if __name__ == "__main__":
    main()
