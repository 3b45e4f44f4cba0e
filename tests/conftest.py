"""Real parts: a SQLite file for each test, and the simulated model behind a real HTTP server on loopback."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from hypothesis import HealthCheck, settings

import prompt_registry_plugin as pr
from prompt_registry_plugin import retry
from prompt_registry_plugin.registry import current
from tests.waiting import HANG

ROOT = Path(__file__).parent.parent
pytest_plugins = ("tests.markers",)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background; programs under test would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Leave what was imported by now out of garbage collections: a full one takes 0.3 s with four frameworks, and some tests ask for it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry file without prompts, to copy: migrating takes ten times as long."""
    path = tmp_path_factory.mktemp("empty") / "prompts.db"
    pr.open_registry(f"sqlite:///{path}").close()
    return path


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_registry: Path) -> Iterator[pr.PromptRegistry]:
    """An empty registry of the test's own, the current one, in a working directory of the test's own."""
    shutil.copyfile(empty_registry, tmp_path / "prompts.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("PROMPT_REGISTRY_URL", f"sqlite:///{tmp_path / 'prompts.db'}")
    monkeypatch.setenv("PROMPT_REGISTRY_USER", "tester")
    before = set(sys.modules)
    yield pr.current_registry()
    pr.disable()
    for name in set(sys.modules) - before:  # another test has an `agent.py` of its own
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    if (
        "agents.tracing" in sys.modules
    ):  # a test may have switched off what sends traces to a vendor; agents and tools have no spans then
        sys.modules["agents.tracing"].set_tracing_disabled(False)
    for opened in current._defaults.values():
        opened.close()
    current._defaults.clear()


@pytest.fixture(scope="session")
def model_url() -> Iterator[str]:
    """The address of the simulated model, served by the real command in a process of its own."""
    command = [sys.executable, "-m", "prompt_registry_plugin", "offline-model", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()


@pytest.fixture
def openai_environment(model_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Points the official clients at the simulated model."""
    monkeypatch.setenv("OPENAI_BASE_URL", model_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-simulated-key-000000000000")
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(name, raising=False)
    return model_url


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Transient errors are retried at once."""
    monkeypatch.setattr(retry, "FIRST_WAIT", (0.0, 0.0))
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


def run_python(code: str, *, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a fresh interpreter."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")]), **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd, env=env, timeout=HANG)
