"""Texts whose source tells what they are: the value that is a message by itself, and a description with a date in it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.prompts.context import current_recorder

SOURCE = '''
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

model = FakeListChatModel(responses=["Done."])
WRITER = ChatPromptTemplate.from_messages([
    ("system", "You write answers to letters for the town hall."),
    ("human", "{letter}"),
])


def write(inputs):
    """Write an answer to a letter."""
    shown = (
        f"The kind of this letter: {inputs['kind']}\\n"
        f"What the letter says: {inputs['body']}"
    )
    return (WRITER | model).invoke({"letter": shown})


agent = RunnableLambda(write)


class Reader:
    """Reads a letter of the form 'Friday, November 22, 2024 11:15:14 PST'."""
'''


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Any]:
    source = tmp_path / "townhall.py"
    source.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("townhall", source)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["townhall"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pr.open_registry(f"sqlite:///{tmp_path}/own.db") as registry, pr.use_registry(registry):
        pr.enable("langchain")
        yield module
        pr.disable()
    del sys.modules["townhall"]


def test_a_value_that_is_a_message_by_itself_is_a_prompt(program: Any) -> None:
    """Its template is adopted and served, whatever it was put into."""
    with pr.record() as trace:
        program.agent.invoke({"kind": "complaint", "body": "The lamp is broken."})
    adopted = pr.adopt(trace)
    name = next(version.name for version in adopted if version.name.startswith("townhall.write"))
    assert pr.load_prompt(name).variables == {"kind", "body"}
    assert [version.name for version in adopted] == ["townhall/write", name], "a value that was the input is no prompt"
    version = pr.register_prompt(name, "[v2] " + str(pr.load_prompt(name).template))
    pr.set_prompt_alias(name, "production", version.version)
    with pr.record() as served:
        program.agent.invoke({"kind": "praise", "body": "The park is fine."})
    messages = next(span.attributes["messages"] for span in served.spans if span.kind == "llm")
    assert messages[-1]["content"] == "[v2] The kind of this letter: praise\nWhat the letter says: The park is fine."


@pytest.mark.usefixtures("program")
def test_a_date_in_a_description_is_no_value_if_it_is_in_the_source() -> None:
    """Only a description that the source does not have word by word may have been rendered."""
    known = "Reads a letter of the form 'Friday, November 22, 2024 11:15:14 PST'."
    with pr.record() as trace:
        recorder: Any = current_recorder()
        for key, text in (("tools/read", known), ("tools/other", f"Reads what came on {datetime(2024, 11, 22, 11, 15, 14)}.")):
            recorder.finish(recorder.start_model("m", [{"role": "user", "content": "hi"}], descriptions={key: text}))
    states = {row.name.rpartition("/")[2]: row.template is not None for row in pr.coverage(trace) if row.role == "description"}
    assert states == {"read": True, "other": False}


ASKS = """
import json
import demo
import prompt_registry_plugin as pr
from prompt_registry_plugin.prompts.context import current_recorder

with pr.record() as trace:
    recorder = current_recorder()
    recorder.finish(recorder.start_model("m", [{"role": "user", "content": "Tell me a joke about cats."}]))
print(json.dumps([row.state for row in pr.coverage(trace) if row.role == "user"]))
"""


@pytest.mark.process
def test_a_question_that_the_script_asks_is_no_prompt_if_a_module_asks_it_too(tmp_path: Path) -> None:
    """The demo of a module has the same question."""
    (tmp_path / "demo.py").write_text('def main():\n    question = "Tell me a joke about cats."\n    print(question)\n')
    (tmp_path / "ask.py").write_text(ASKS)
    done = subprocess.run([sys.executable, "ask.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_a_user_message_whose_template_is_too_short_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks like what somebody typed, but the source has a template for it: the table gives the reason."""
    (tmp_path / "planner.py").write_text('def ask(query):\n    return f"Xylo: {query}"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    planner = importlib.import_module("planner")
    try:
        with pr.record() as trace:
            recorder = current_recorder()
            assert recorder is not None
            messages = [{"role": "system", "content": ""}, {"role": "user", "content": planner.ask("cats")}]
            recorder.finish(recorder.start_model("m", messages))
        [row] = [row for row in pr.coverage(trace) if row.role == "user"]
    finally:
        del sys.modules["planner"]
    assert row.state == "not adoptable"
    assert "4 letters" in row.detail
