"""A pytest plugin that switches the adapter on, for the test suite of a framework: see README.md beside this file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

MODE = os.environ.get("WITH_PROMPT_REGISTRY", "off")  # off, idle, recording or serving

INSTRUCTIONS = "Nobody in the suite sends these instructions about {subject} to a model."

if MODE != "off":
    import prompt_registry_plugin as pr

    pr.enable(*os.environ.get("WITH_ADAPTERS", "langchain").split(","))

if MODE == "serving":

    def pytest_collection_finish() -> None:
        """Adopt a text, so that every text of the suite is compared with it; and a template object."""
        from langchain_core.language_models import FakeListChatModel
        from langchain_core.prompts import PromptTemplate

        with pr.record() as trace:
            PromptTemplate.from_template("Nobody in the suite has this template about {subject}.").format(subject="trees")
            FakeListChatModel(responses=["yes"]).invoke([("system", INSTRUCTIONS.format(subject="trees"))])
        adopted = pr.adopt(trace)
        assert len(adopted) == 2, adopted


if MODE == "recording":

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(item: Any) -> Iterator[None]:
        """Records each test, and overrides a name that nobody uses."""
        with pr.override_prompts({"nobody": "x"}, unrendered="ignore"), pr.record(item.name):
            yield
