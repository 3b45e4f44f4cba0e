"""A pytest plugin that switches the adapter on, for the test suite of a framework: see README.md beside this file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

MODE = os.environ.get("WITH_PROMPT_REGISTRY", "off")  # off, idle or recording

if MODE != "off":
    import prompt_registry_plugin as pr

    pr.enable(*os.environ.get("WITH_ADAPTERS", "langchain").split(","))

if MODE == "recording":

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(item: Any) -> Iterator[None]:
        """Records each test, and overrides a name that nobody uses."""
        with pr.override_prompts({"nobody": "x"}, unrendered="ignore"), pr.record(item.name):
            yield
