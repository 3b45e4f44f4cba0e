"""The simulated model follows its instructions and knows nothing else; over HTTP it speaks OpenAI's protocol."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.models.offline import OfflineModel, OfflineSettings
from prompt_registry_plugin.models.offline.instruction import read_instruction
from prompt_registry_plugin.models.resolve import resolve_model
from tests.conftest import ROOT, run_python

COLOURS = "Sort each word. Labels: warm, cold.\n- warm: fire, sun, red\n- cold: ice, snow, blue\n"


def ask(system: str, message: str, seed: int = 0) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": message}]
    return OfflineModel("task", OfflineSettings(seed=seed)).reply(messages).text


def test_it_answers_with_the_label_only_when_told_so() -> None:
    """And chatters otherwise."""
    assert ask(COLOURS + "Answer with the label only.", "snow in winter") == "cold"
    assert ask(COLOURS + "Reply with just the label, no explanation.", "a red sun") == "warm"
    chatter = ask(COLOURS, "snow in winter")
    assert "cold" in chatter
    assert len(chatter.split()) > 4


def test_it_knows_only_what_the_prompt_says() -> None:
    """Without a word on the labels it can only guess; swapped descriptions swap its answers; examples teach it."""
    bare = "Sort each word. Labels: warm, cold. Answer with the label only."
    swapped = (
        COLOURS.replace("- warm", "- x").replace("- cold", "- warm").replace("- x", "- cold") + "Answer with the label only."
    )
    assert ask(swapped, "snow in winter") == "warm"
    assert len({ask(bare, "snow in winter", seed) for seed in range(20)}) == 2, "a guess"
    taught = bare + '\n"snow and frost" -> cold\n"a warm fire" -> warm'
    assert {ask(taught, "frost in winter", seed) for seed in range(20)} == {"cold"}


def test_it_holds_no_word_of_any_data_set_or_of_our_prompts() -> None:
    """Its sources name none of the example's labels, and nothing of how our reflection prompt is worded."""
    sources = "\n".join(
        path.read_text() for path in (ROOT / "prompt_registry_plugin" / "models" / "offline").glob("*.py")
    ).lower()
    rows = [json.loads(line) for line in (ROOT / "examples/banking/data/train.jsonl").read_text().splitlines()]
    labels = {row["expectations"]["intent"] for row in rows}
    assert not [label for label in labels if label in sources or label.replace("_", " ") in sources]
    assert not re.search(r"answer of this step|runs in which|prompt_registry_plugin\.optimize", sources)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Classify as one of: spam, ham.", {"spam", "ham"}),
        ("Is it positive, negative or neutral?", {"positive", "negative", "neutral"}),
        ("Categories:\n- billing: money\n- tech: errors", {"billing", "tech"}),
        ("Options (a_1 | b_2 | c_3)", {"a_1", "b_2", "c_3"}),
        ("Classify this sentence into one of these sections: CONCLUSIONS, RESULTS, METHODS, OBJECTIVE, BACKGROUND.",
         {"CONCLUSIONS", "RESULTS", "METHODS", "OBJECTIVE", "BACKGROUND"}),
    ],
)  # fmt: skip
def test_it_reads_labels_however_they_are_listed(text: str, labels: set[str]) -> None:
    """Lists in a sentence, bullets, brackets."""
    assert set(read_instruction(text).labels) == labels


OURS = """One step is steered by this:

```
Sort. Labels: warm, cold. Answer with the label only.
```

Example 1
Input word: frozen lake
Answer of this step: warm
Feedback: the label should be 'cold' but was 'warm'."""

OTHERS = """# Task
<current_prompt>
Sort. Labels: warm, cold. Answer with the label only.
</current_prompt>

### Case 1
- message: frozen lake
- model output: warm
- expected: cold
"""


@pytest.mark.parametrize("prompt", [OURS, OTHERS])
def test_it_rewrites_from_feedback_in_whatever_wording(prompt: str) -> None:
    """Over seeds, most proposals teach the right label about the failing words; all are fenced and keep the labels line's words."""
    taught = 0
    for seed in range(20):
        text = OfflineModel("reflection", OfflineSettings(seed)).reply([{"role": "user", "content": prompt}]).text
        proposal = text.split("```")[1]
        taught += bool(re.search(r"cold: .*(frozen|lake)|frozen lake.* -> cold", proposal))
    assert 12 <= taught <= 20


def test_some_of_its_proposals_are_worse() -> None:
    """It drops lines or adds empty phrases now and then, as a real model does."""
    proposals = [
        OfflineModel("reflection", OfflineSettings(seed)).reply([{"role": "user", "content": OURS}]).text for seed in range(60)
    ]
    empty_phrase = re.compile(r"carefully|precise|really wants")
    assert 0 < sum(bool(empty_phrase.search(p)) for p in proposals) < 30


async def test_latency_and_errors_as_configured() -> None:
    """The share of failures is right, and a call takes its time."""
    model = OfflineModel("task", OfflineSettings(error_rate=0.3))
    failed = 0
    for _ in range(300):
        try:
            await model([{"role": "user", "content": "x"}])
        except pr.errors.ModelUnavailable:
            failed += 1
    assert 60 < failed < 120
    started = time.monotonic()
    await OfflineModel("task", OfflineSettings(latency=0.05))([{"role": "user", "content": "x"}])
    assert time.monotonic() - started >= 0.05
    with pytest.raises(pr.UserError):
        OfflineSettings(error_rate=2)


def test_same_seed_same_answers() -> None:
    """In this process and another."""
    code = (
        "from prompt_registry_plugin.models.offline import OfflineModel\n"
        f"print([OfflineModel().reply([{{'role': 'user', 'content': {COLOURS!r} + str(i)}}]).text for i in range(9)])"
    )
    assert run_python(code, PYTHONHASHSEED="1").stdout == run_python(code, PYTHONHASHSEED="2").stdout != ""


def test_the_openai_client_talks_to_it(openai_environment: str) -> None:
    """Whole answers with usage, streams with usage, and the list of models."""
    import openai

    with openai.OpenAI() as client:
        messages = [{"role": "system", "content": COLOURS + "Answer with the label only."}, {"role": "user", "content": "snow"}]
        answer = client.chat.completions.create(model="anything", messages=messages)  # type: ignore[call-overload]
        assert answer.choices[0].message.content == "cold"
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
        chunks = list(
            client.chat.completions.create(  # type: ignore[call-overload]
                model="x",
                messages=[{"role": "user", "content": COLOURS + "\n\nsnow"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert "cold" in text
        assert len(chunks) > 4
        assert chunks[-1].usage.total_tokens > 0
        assert {model.id for model in client.models.list()} == {"offline-task", "offline-reflection", "offline-judge"}
        rewrite = client.chat.completions.create(model="offline-reflection", messages=[{"role": "user", "content": OURS}])
        assert "```" in (rewrite.choices[0].message.content or "")


def test_langchain_streams_from_it(openai_environment: str) -> None:
    """Through the real integration."""
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="x")
    pieces = list(model.stream([("system", COLOURS), ("human", "snow")]))
    assert "cold" in "".join(str(piece.content) for piece in pieces)
    assert len(pieces) > 4


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"model": "x", "messages": []}',
        b'{"model": "x", "messages": [1]}',
        b'{"model": "x", "messages": "hi"}',
        b"{",
    ],
)
def test_malformed_requests_get_a_400(model_url: str, body: bytes) -> None:
    """With a reason, and the server goes on."""
    request = urllib.request.Request(f"{model_url}/chat/completions", data=body, headers={"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    with error.value:
        assert error.value.code == 400
        assert "messages" in json.load(error.value)["error"]["message"]
    with urllib.request.urlopen(model_url.removesuffix("/v1") + "/health") as health:
        assert json.load(health) == {"status": "ok", "simulated": True}


async def test_models_are_resolved_from_strings_and_functions(openai_environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`offline:…`, `openai:…`, functions and coroutine functions; others are told at once."""
    assert resolve_model("offline:task").simulated
    real = resolve_model("openai:/anything")
    assert (real.name, real.simulated) == ("anything", False)
    reply = await real(
        [{"role": "system", "content": COLOURS + "Answer with the label only."}, {"role": "user", "content": "snow"}]
    )
    assert reply.text == "cold"
    assert reply.usage.calls == 1
    await real.check()
    assert (await resolve_model(lambda messages: "said")([])).text == "said"
    for unknown in ("gpt", "offline:none", "nobody:x", 5):
        with pytest.raises(pr.UserError):
            resolve_model(unknown)  # type: ignore[arg-type]
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(pr.UserError, match="OPENAI_API_KEY"):
        resolve_model("openai:gpt-x")


async def test_an_unreachable_model_is_told_by_a_free_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is spent, and without the login in its address."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://ann:S3cretPw@127.0.0.1:9/v1")
    for call in (lambda model: model.check(), lambda model: model([{"role": "user", "content": "Hi"}])):
        with pytest.raises(pr.errors.ModelUnavailable, match=r"gpt-x.*127.0.0.1:9") as told:
            await call(resolve_model("openai:gpt-x"))
        assert "S3cretPw" not in str(told.value)


def test_a_taken_port_is_told(model_url: str) -> None:
    """In one line."""
    port = re.search(r":(\d+)/", model_url)
    assert port
    code = f"import sys; sys.argv = ['x', 'offline-model', '--port', '{port[1]}']; from prompt_registry_plugin.cli import main; main()"
    done = run_python(code, cwd=Path("/tmp"))
    assert done.returncode == 1
    assert "choose another with --port" in done.stderr
    assert "Traceback" not in done.stderr
