"""Work grows with what is asked for, and with nothing else: calls and bytes are counted at two sizes, no clock is read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli import main

TEXT = "You are {{who}}. " + "Answer briefly. " * 1000
DRAFTS: dict[str, Callable[[int], pr.protocols.NewVersion]] = {
    "prompts": lambda i: pr.protocols.NewVersion(f"team/p{i}", f"Number {i}: {{{{q}}}}", tags={"team": "care"}),
    "versions of one prompt": lambda i: pr.protocols.NewVersion("p", f"Number {i}: {{{{q}}}}"),
    "chats": lambda i: pr.protocols.NewVersion(f"chat{i}", [{"role": "user", "content": f"Number {i}: {{{{q}}}}"}]),
    "prompts that include another": lambda i: pr.protocols.NewVersion(f"p{i}", f"Number {i} {{{{> footer@production}}}}"),
}


def count_calls(function: Callable[[], Any]) -> int:
    """Return how many functions were called, of Python and of C, statements to SQLite among them."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


@contextmanager
def bytes_read(registry: pr.PromptRegistry) -> Iterator[list[int]]:
    """Count the characters of all rows that the registry reads from its database inside the block."""
    database = registry.store.database  # type: ignore[attr-defined]
    read, sizes = database.read, [0]

    def counting(*args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = read(*args, **kwargs)
        sizes[0] += sum(len(str(value)) for row in rows for value in row)
        return rows

    database.read = counting
    try:
        yield sizes
    finally:
        del database.read


def with_versions(folder: Path, count: int) -> pr.PromptRegistry:
    """Return a registry with one prompt of so many long versions, of which the last two were promoted."""
    registry = pr.open_registry(f"sqlite:///{folder}/{count}.db")
    registry.register_prompts([pr.protocols.NewVersion("p", f"{i} {TEXT}") for i in range(count)])
    registry.set_prompt_alias("p", "production", count - 1)
    registry.set_prompt_alias("p", "production", count)
    return registry


@pytest.mark.parametrize("kind", DRAFTS)
def test_a_batch_costs_what_its_drafts_cost(kind: str, tmp_path: Path) -> None:
    """Four times as many drafts are four times the work, and not sixteen times."""
    calls = []
    for size in (50, 200):
        with pr.open_registry(f"sqlite:///{tmp_path}/{size}.db") as registry:
            registry.register_prompt("footer", "the end")
            registry.set_prompt_alias("footer", "production", 1)
            drafts = [DRAFTS[kind](i) for i in range(size)]
            calls.append(count_calls(lambda drafts=drafts, registry=registry: registry.register_prompts(drafts)))  # type: ignore[misc]
    assert calls[1] < 4.2 * calls[0]


def test_checking_drafts_costs_what_they_cost() -> None:
    """As `apply` does before it writes anything."""
    registry = pr.current_registry()
    small, large = ([DRAFTS["prompts"](i) for i in range(size)] for size in (50, 200))
    registry.check_drafts(small)
    assert count_calls(lambda: registry.check_drafts(large)) < 4.2 * count_calls(lambda: registry.check_drafts(small))


def test_a_rollback_reads_the_version_that_it_goes_back_to(tmp_path: Path) -> None:
    """And not those that nobody asked for, however many there are."""
    for count in (3, 60):
        with with_versions(tmp_path, count) as registry, bytes_read(registry) as read:
            assert registry.rollback("p").version == count - 1
            assert read[0] < 5 * len(TEXT)


def test_a_history_in_the_terminal_reads_no_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither does looking when a prompt changed last, nor the error for a version that is not there."""
    with with_versions(tmp_path, 60) as registry, pr.use_registry(registry):
        monkeypatch.setenv("PROMPT_REGISTRY_URL", registry.url)
        with bytes_read(registry) as read, pytest.raises(SystemExit):
            main(["history", "p"])
        shown = capsys.readouterr().out
        assert "version 60" in shown
        assert "production: 59 → 60" in shown
        assert 60 * 10 < read[0] < len(TEXT)
        for missing in ("prompts:/p/99", "prompts:/p@prodution"):
            with bytes_read(registry) as read, pytest.raises(pr.errors.PromptNotFound):
                registry.load_prompt(missing)
            assert read[0] < 1000


def test_a_load_that_is_cached_sends_no_query(tmp_path: Path) -> None:
    """Whatever was recorded meanwhile; a moved alias costs one."""
    with with_versions(tmp_path, 3) as registry:
        registry.load_prompt("prompts:/p@production")
        with registry.record():
            pass
        registry.flush()
        with bytes_read(registry) as read:
            registry.load_prompt("prompts:/p@production")
            assert read[0] == 0
            registry.rollback("p")
            read[0] = 0
            registry.load_prompt("prompts:/p@production")
            assert 0 < read[0] < 2 * len(TEXT)
