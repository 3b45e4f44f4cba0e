"""What is different on Windows and macOS, as far as it can be tried on another system."""

from __future__ import annotations

import ast
import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from prompt_registry_plugin import concurrency
from prompt_registry_plugin.store.postgres import address
from tests.conftest import ROOT


def copy_of() -> Path:
    return address._copy_of({"host": "h"}, "public").parent


@pytest.mark.process
def test_whether_a_process_lives_is_asked_without_a_signal() -> None:
    """Of a running one, one that has ended, and numbers that no process has; the process goes on."""
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert concurrency.is_alive(child.pid)
    assert child.poll() is None
    child.communicate()
    assert not concurrency.is_alive(child.pid)
    assert concurrency.is_alive(os.getpid())
    for number in (0, -1, 2**70):
        assert not concurrency.is_alive(number)


@pytest.mark.parametrize(
    ("handle", "error", "exit_code", "expected"),
    [(7, 0, 259, True), (7, 0, 0, False), (0, 5, 0, True), (0, 87, 0, False)],
)
def test_on_windows_a_process_is_asked_for_and_not_ended(
    monkeypatch: pytest.MonkeyPatch, handle: int, error: int, exit_code: int, expected: bool
) -> None:
    """`os.kill(pid, 0)` ends it there. The calls of the Windows library are simulated."""

    def tell(_handle: int, code: Any) -> int:
        code._obj.value = exit_code
        return 1

    closed: list[int] = []
    kernel = SimpleNamespace(
        OpenProcess=lambda *_: handle, GetLastError=lambda: error, GetExitCodeProcess=tell, CloseHandle=closed.append
    )
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("it was killed"))
    assert concurrency.is_alive(4711) is expected
    assert closed == ([handle] if handle else [])


def test_processes_are_asked_in_one_place() -> None:
    """Nothing else in the product calls `os.kill`."""
    callers = {
        file.relative_to(ROOT).as_posix()
        for folder in ("prompt_registry_plugin", "adapters")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.kill", "os.killpg")
    }
    assert callers == {"prompt_registry_plugin/concurrency.py"}


def test_the_folder_of_copies_is_the_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As platformdirs has it; the setting comes first everywhere."""
    monkeypatch.delenv("PROMPT_REGISTRY_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert copy_of() == tmp_path / ".cache" / "prompt-registry"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert copy_of() == tmp_path / "x" / "prompt-registry"
    monkeypatch.setattr(address.sys, "platform", "darwin")
    assert copy_of() == tmp_path / "Library" / "Caches" / "prompt-registry"
    monkeypatch.setattr(address.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert copy_of() == tmp_path / "local" / "prompt-registry" / "Cache"
    monkeypatch.setenv("PROMPT_REGISTRY_CACHE", str(tmp_path / "mine"))
    assert copy_of() == tmp_path / "mine" / "prompt-registry"
