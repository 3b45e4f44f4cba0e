"""The importer of LangSmith against LangChain: what LangChain serializes renders the same here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from tests.importing import reasons, run_import, write

langchain_core = pytest.importorskip("langchain_core")
pytestmark = pytest.mark.server  # a package that LangChain imports tries whether the machine has IPv6


def constructor(name: str, **kwargs: Any) -> dict[str, Any]:
    """Return a serialized object."""
    return {"lc": 1, "type": "constructor", "id": ["langchain", "prompts", name], "kwargs": kwargs, "name": name}


def manifest(prompt: Any) -> Any:
    """Return what LangSmith stores for a prompt of LangChain."""
    from langchain_core.load import dumpd

    return json.loads(json.dumps(dumpd(prompt)))


def chat(*messages: Any, template_format: Any = "f-string") -> Any:
    """Return a chat prompt of LangChain."""
    from langchain_core.prompts import ChatPromptTemplate

    return ChatPromptTemplate.from_messages(list(messages), template_format=template_format)


def cases() -> list[tuple[Any, dict[str, Any]]]:
    """Return prompts with values."""
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
    from langchain_core.prompts import MessagesPlaceholder

    call = {"name": "find", "args": {"q": "ü"}, "id": "1"}
    image = {"type": "image_url", "image_url": {"url": "{u}", "detail": "high"}}
    return [
        (chat(("system", "You {x} {{json}} {質問}"), ("human", "{q} {a-b}")), {"x": "X", "質問": "?", "q": "{q}", "a-b": "-"}),
        (chat(("system", "{{{x}}} {{&y}} {z}"), template_format="mustache"), {"x": "<", "y": ">", "z": "!"}),
        (chat(("system", "{% for i in items %}{{ i }},{% endfor %}\n"), template_format="jinja2"), {"items": ["a", "b"]}),
        (chat(("human", [{"type": "text", "text": "{q}"}, image]), ("ai", "ok")), {"q": "Q", "u": "http://x"}),
        (chat(SystemMessage("lit {x} {{y}}"), HumanMessage("h", name="Ann"), ("human", "{x}")), {"x": "X"}),
        (chat(AIMessage("", tool_calls=[call]), ToolMessage("r", tool_call_id="1"), ("human", "{x}")), {"x": "X"}),
        (chat(MessagesPlaceholder("h"), ("human", "{x}")), {"h": [HumanMessage("old")], "x": "X"}),
        (chat(("system", "{x} {y}")).partial(y="'Y' {z}"), {"x": "X"}),
        (chat(("system", "{x} {y}")).partial(y="Y"), {"x": "X", "y": "other"}),
    ]


@pytest.mark.parametrize("number", range(9))
def test_messages_are_those_of_langchain(number: int, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Formats, literal messages, parts, tool calls, placeholders, partial variables; in OpenAI's form."""
    from langchain_core.messages import convert_to_openai_messages

    prompt, values = cases()[number]
    results = run_import(registry, write(tmp_path / "p.json", manifest(prompt)), "langsmith")
    assert not reasons(results)
    history = {"h": convert_to_openai_messages(values["h"])} if "h" in values else {}
    rendered = registry.load_prompt("p").format({**values, **history})
    assert rendered == convert_to_openai_messages(prompt.format_messages(**values))


def test_a_bare_manifest_is_named_after_its_file(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """And not after its class, which all of them share."""
    for name, text in (("one", "1"), ("two", "2")):
        run_import(registry, write(tmp_path / f"{name}.json", manifest(chat(("system", text)))), "langsmith")
    assert sorted(prompt.name for prompt in registry.search_prompts()) == ["one", "two"]


def test_the_model_that_a_prompt_was_saved_with(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """All its settings and what was bound to it; no credentials. LangSmith's playground has a class of its own."""
    secret = {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}
    model = constructor(
        "ChatOpenAI", model_name="gpt-x", temperature=0.0, seed=3, reasoning_effort="low", model_kwargs={"top_p": 1}, openai_api_key=secret,
        openai_api_base="http://x", max_tokens=None,
    )  # fmt: skip
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    bound = {
        "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "f", "stop": ["x"],
        "response_format": {"type": "json_schema", "json_schema": {"name": "A", "schema": schema, "strict": True}},
    }  # fmt: skip
    last = constructor("RunnableBinding", bound=model, kwargs=bound)
    playground = constructor("PromptPlayground", first=manifest(chat(("system", "Hi {x}"))), last=last)
    results = run_import(registry, write(tmp_path / "p.json", {"repo": "my prompt", "manifest": playground}), "langsmith")
    version = registry.load_prompt("my-prompt")
    assert version.model_config == {
        "model": "gpt-x", "temperature": 0.0, "seed": 3, "reasoning_effort": "low", "top_p": 1, "tool_choice": "f", "stop": ["x"],
    }  # fmt: skip
    assert (version.tools, version.response_format) == (bound["tools"], {"title": "A", **schema})
    assert results["my-prompt"].result == "renamed"
    assert results["my-prompt"].original == "my prompt"


def test_a_prompt_in_the_middle_of_a_chain_is_found(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """With the model after it; the other steps are told."""
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.runnables import RunnableParallel, RunnablePassthrough

    steps = {"first": manifest(RunnableParallel(q=RunnablePassthrough())), "last": manifest(StrOutputParser())}
    middle = [manifest(chat(("system", "Solve."), ("human", "{q}"))), constructor("ChatOpenAI", model_name="gpt-x")]
    data = {"repo": "p", "manifest": constructor("RunnableSequence", **steps, middle=middle)}
    found = run_import(registry, write(tmp_path / "p.json", data), "langsmith")["p"]
    version = registry.load_prompt("p")
    assert (len(version.template), version.model_config) == (2, {"model": "gpt-x"})
    assert [part.split("'")[1] for part in found.left_out] == ["StrOutputParser", "RunnableParallel"]


def test_commits_of_a_repository_are_versions(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Oldest first, whatever their order in the file; one that cannot be read is left out; tags are aliases."""
    commits = [
        {"commit_hash": f"c{n}", "created_at": f"2026-01-0{n}T00:00:00Z", "manifest": manifest(chat(("system", text)))}
        for n, text in ((3, "three"), (1, "one {x}"))
    ]
    commits.append({"commit_hash": "c2", "created_at": "2026-01-02T00:00:00Z", "manifest": constructor("FewShotPromptTemplate")})
    data = {
        "repo": "p",
        "commits": commits,
        "tags": [{"tag_name": "prod", "commit_hash": "c1"}, {"tag_name": "x", "commit_hash": "c2"}],
    }
    results = run_import(registry, write(tmp_path / "all.json", data), "langsmith")
    texts = [version.template[0]["content"] for version in registry.store.prompts.versions("p")]
    assert texts == ["one {{x}}", "three"]
    assert registry.load_prompt("prompts:/p@prod").version == 1
    assert "FewShotPromptTemplate" in reasons(results)["p, commit c2"]
    assert {item.result for name, item in run_import(registry, tmp_path / "all.json", "langsmith").items() if name == "p"} == {
        "same"
    }


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": "touch evil"}},
            "no prompt that can be read",
        ),
        (constructor("PromptTemplate", template="{a.b}"), "formats its value"),
        (constructor("PromptTemplate", template="{a:>9}"), "formats its value"),
        (constructor("PromptTemplate", template="{{#a}}x{{/a}}", template_format="mustache"), "only plain variables"),
        (constructor("ChatPromptTemplate", messages=["x"]), "cannot be read"),
        (constructor("ChatPromptTemplate", messages=[]), "no messages"),
    ],
)
def test_what_has_no_counterpart_is_refused(data: Any, reason: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """No class in the file is ever made."""
    results = run_import(registry, write(tmp_path / "p.json", data), "langsmith")
    assert reason in reasons(results)["p"]
    assert list(registry.search_prompts()) == []


def test_what_is_different_is_named(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """LangChain escapes the values of `{{name}}` for HTML; code in a manifest is left out."""
    prompt = constructor(
        "PromptTemplate", template="{{x}}", template_format="mustache", output_parser=constructor("StrOutputParser")
    )
    found = run_import(registry, write(tmp_path / "p.json", prompt), "langsmith")["p"]
    assert found.notes == ("values are not HTML-escaped here, as mustache does for {{name}}",)
    assert found.left_out == ("the output parser: it is code",)
