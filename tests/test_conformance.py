"""Both built-in stores keep every promise of `StoreConformance`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_registry_plugin.testing import StoreConformance
from tests.stores import postgres_url


class TestSQLite(StoreConformance):
    """A file."""

    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'conformance.db'}"


class TestPostgreSQL(StoreConformance):
    """A schema in a real server."""

    @pytest.fixture
    def store_url(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        monkeypatch.setenv("PROMPT_REGISTRY_CACHE", str(tmp_path / "cache"))
        with postgres_url() as url:
            yield url
