"""Many real processes at once, killed ones among them, on both stores: nothing is lost, doubled or half-written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import prompt_registry_plugin as pr
from tests.conftest import ROOT
from tests.stores import postgres_url
from tests.waiting import HANG

pytestmark = pytest.mark.process

PROCESSES, EACH, MOVES, KILLS = 8, 200, 40, 50

# Each program forks its processes from one that has imported everything, so that they start together.
FORK = """
import os, random, signal, sys, time
import prompt_registry_plugin as pr
import prompt_registry_plugin.store.sqlite
url, count, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if url.startswith("postgres"):
    import prompt_registry_plugin.store.postgres

def children(work):
    pids = []
    for i in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                with pr.open_registry(url) as registry:
                    work(registry, i)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    sys.exit(sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in pids))
"""
REGISTER = """
def work(registry, i):
    for j in range(each):
        registry.register_prompt("shared", f"{i} {j}")
children(work)
"""
# A counter made of an alias: read where it points, then move it one further only if it is still there.
COMPARE_AND_SET = """
from prompt_registry_plugin.uri import PromptURI

def work(registry, i):
    done = 0
    while done < each:
        current = registry.store.prompts.get(PromptURI("shared", alias="at")).version
        try:
            registry.set_prompt_alias("shared", "at", current + 1, expected_version=current, reason=str(i))
            done += 1
        except pr.errors.AliasConflict:
            pass
children(work)
"""
KILL = """
for round_ in range(count):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with pr.open_registry(url) as registry:
                i = 0
                while True:
                    version = registry.register_prompt("killed", f"{round_} {i} " + "x" * 5000, tags={"round": str(round_)})
                    registry.set_prompt_alias("killed", "production", version.version, reason=str(version.version))
                    if i == 0:
                        os.write(write, b"!")
                    i += 1
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(write)
    if not os.read(read, 1):
        sys.exit("a writer ended before it was killed")
    time.sleep(random.Random(round_).uniform(0, 0.03))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(read)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty registry in either store."""
    monkeypatch.setenv("PROMPT_REGISTRY_CACHE", str(tmp_path / "cache"))
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'crash.db'}"
    else:
        with postgres_url() as postgres:
            yield postgres


def run(program: str, url: str, count: int, each: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK + program, url, str(count), str(each)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr


def test_processes_register_the_same_prompt(url: str) -> None:
    """8 processes, 200 registrations each, from a registry that is not there yet: versions 1 to 1,600."""
    run(REGISTER, url, PROCESSES, EACH)
    with pr.open_registry(url) as registry:
        versions = registry.store.prompts.versions("shared")
    assert [version.version for version in versions] == list(range(1, PROCESSES * EACH + 1))
    assert {version.template for version in versions} == {f"{i} {j}" for i in range(PROCESSES) for j in range(EACH)}


def test_processes_move_one_alias_by_compare_and_set(url: str) -> None:
    """8 processes move one alias 40 versions further each, by `expected_version`: no move is lost, none is made twice."""
    with pr.open_registry(url) as registry:
        registry.register_prompts([pr.protocols.NewVersion("shared", str(i)) for i in range(PROCESSES * MOVES + 1)])
        registry.set_prompt_alias("shared", "at", 1)
    run(COMPARE_AND_SET, url, PROCESSES, MOVES)
    with pr.open_registry(url) as registry:
        moves = registry.store.prompts.moves("shared", "at")
        assert registry.load_prompt("prompts:/shared@at").version == PROCESSES * MOVES + 1
    assert [move.to_version for move in moves] == list(range(1, PROCESSES * MOVES + 2))
    assert [move.from_version for move in moves] == [None, *range(1, PROCESSES * MOVES + 1)]


def test_killed_writers_leave_whole_versions_only(url: str) -> None:
    """`kill -9` in the middle of writing, 50 times: numbers without gaps, each version with its tag, each move with its version."""
    run(KILL, url, KILLS, 0)
    if url.startswith("sqlite"):
        raw = sqlite3.connect(url.removeprefix("sqlite:///"))
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        raw.close()
    with pr.open_registry(url) as registry:
        versions = registry.store.prompts.versions("killed")
        moves = registry.store.prompts.moves("killed", "production")
        assert [version.version for version in versions] == list(range(1, len(versions) + 1))
        assert all(len(str(version.template)) > 5000 and "round" in version.tags for version in versions)
        assert {version.tags["round"] for version in versions} == {str(i) for i in range(KILLS)}
        assert all(move.reason == str(move.to_version) for move in moves)
        assert [move.from_version for move in moves[1:]] == [move.to_version for move in moves[:-1]]
        assert registry.load_prompt("prompts:/killed@production").version == moves[-1].to_version
        assert [p.latest_version for p in registry.search_prompts("tags.round LIKE '%'")] == [len(versions)]
        assert registry.register_prompt("killed", "after").version == len(versions) + 1
