"""Models of Ollama and of any OpenAI-compatible server by name, over real connections. The model behind the server is simulated."""

from __future__ import annotations

import json
import os
import string
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import main
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.models.resolve import resolve_model
from prompt_registry_plugin.models.servers import ollama, server_and_name, split_spec
from tests.own_server import OwnServer, own_server
from tests.simulated_target import BIG, PLANTS, SMALL, SORT
from tests.test_trying import ask, serve

pytestmark = pytest.mark.server
TAUGHT = f"Sort a thing. Labels: animal, plant.\n- plant: {', '.join(sorted(PLANTS))}\nAnswer with the label only."
SECRET = "hunter2-and-more"
LOGIN = f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}"
KEY = "sk-simulated-key-000000000000"


def rows(repeats: int = 1) -> list[dict[str, dict[str, str]]]:
    """Sentences about things, with the kind that is expected."""
    things = [f"{thing} number{n}" for n in range(repeats) for thing in BIG + SMALL]
    kinds = ["plant" if thing.split()[0] in PLANTS else "animal" for thing in things]
    return [
        {"inputs": {"text": thing}, "expectations": {"expected_response": kind}}
        for thing, kind in zip(things, kinds, strict=True)
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnServer]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with own_server() as running:
        monkeypatch.setenv("OLLAMA_HOST", running.host)
        pr.register_prompt("sort", TAUGHT)
        yield running


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.parametrize("spec", ["ollama:llama3.2", "openai+http://{host}/v1:org/task:1b", "openai+http://{host}/v1/:judge"])
def test_they_answer_without_a_key(server: OwnServer, spec: str) -> None:
    """By `PromptAgent`, whole and streamed, and with the protocol's settings."""
    named = spec.format(host=server.host)
    agent = pr.PromptAgent("sort", named, temperature=0, seed=7)
    agent.predict({"text": "an oak"})
    path, _, body = server.seen[-1]
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["seed"]) == (split_spec(named)[1], 0, 7)
    [trial] = pr.try_prompts("sort", {"text": "an oak"}, models=[named])
    assert (trial.error, trial.model) == (None, split_spec(named)[1])


def test_keys_go_where_they_belong(server: OwnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI's to a server by address, not to Ollama; a login instead of a key."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for spec, sent in (
        (f"openai+http://{server.host}/v1:judge", f"Bearer {KEY}"),
        ("ollama:judge", "Bearer no-key"),
        (f"openai+http://me:{SECRET}@{server.host}/v1:judge", LOGIN),
    ):
        server.seen.clear()
        pr.PromptAgent("sort", spec).predict({"text": "an oak"})
        assert server.keys == {sent}
    monkeypatch.setenv("OLLAMA_API_KEY", "key-of-ollama")
    pr.PromptAgent("sort", "ollama:judge").predict({"text": "an oak"})
    assert server.seen[-1][1] == "Bearer key-of-ollama"


def test_in_commands_judges_and_configuration(server: OwnServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`try`, `eval`, a judge, a prompt's `model_config`, and a file."""
    own = f"openai+http://{server.host}/v1:org/task:1b"
    code, out, err = run(capsys, "try", "sort", "--model", own, "--model", "ollama:llama3.2", "--set", "text=an oak", "--json")
    assert code == 0, err
    assert [trial["output"] for trial in json.loads(out)] == ["plant", "plant"]
    Path("data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows()))
    Path("agent.py").write_text("import prompt_registry_plugin as pr\nagent = pr.PromptAgent('sort', 'ollama:llama3.2')\n")
    asked = ["eval", "--target", "agent.py:agent", "--data", "data.jsonl", "--scorer", "exact_match", "--model", own, "--json"]
    code, out, err = run(capsys, *asked)
    assert code == 0, err
    assert '"org/task:1b"' not in out
    assert own in out
    judged = pr.evaluate(predict_fn=lambda text: text, data=rows()[:2], scorers=[pr.scorers.Correctness("ollama:judge")])
    assert len(judged.rollouts) == 2
    assert not judged.failures or not judged.failures[0].error
    for config in ({"model_name": "llama3.2", "provider": "ollama"}, {"model_name": own},
                   {"model_name": "org/task:1b", "provider": own.removesuffix(":org/task:1b")}):  # fmt: skip
        version = pr.register_prompt("with-model", TAUGHT, model_config=config, commit_message="x")
        assert pr.PromptAgent(version.uri).predict({"text": "an oak"}) == "plant"
    from prompt_registry_plugin.config.models import LLMModel

    assert resolve_model(LLMModel(name="llama3.2:latest", provider="ollama").spec).name == "llama3.2:latest"
    assert resolve_model(LLMModel(name=own).resolve(temperature=0)).name == "org/task:1b"


def test_a_login_is_in_nothing_that_a_command_says(server: OwnServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where the model is an argument of the target: progress, table, page, cache, and the error of a target that shows it."""
    for line in ("return pr.PromptAgent('sort', model).predict({'text': text})", "raise ValueError(model)"):
        (tmp_path / "agent.py").write_text(f"import prompt_registry_plugin as pr\n\ndef answer(text, model):\n    {line}\n")
        (tmp_path / "rows.jsonl").write_text(json.dumps(rows()[0]) + "\n")
        spec = f"openai+http://{SECRET}@{server.host}/v1:org/task:1b"
        asked = ["eval", "--target", "agent.py:answer", "--data", "rows.jsonl", "--scorer", "exact_match", "--model", spec]
        _, out, err = run(capsys, *asked, "--cache", "c", "--html", "page.html")
        said = out + err + Path("page.html").read_text()
        assert "***masked***" in said
        assert SECRET not in said
    assert SECRET.encode() not in b"".join(file.read_bytes() for file in tmp_path.glob("prompts.db*"))


@pytest.mark.process
def test_served(server: OwnServer) -> None:
    """By `serve-prompt`, in a process of its own."""
    with serve("sort", "--model", f"openai+http://{server.host}/v1:org/task:1b") as url:
        assert ask(f"{url}/invocations", {"inputs": {"text": "an oak"}}) == (200, {"predictions": ["plant"]})


@pytest.mark.usefixtures("short_waits")
def test_a_run_goes_on_without_a_stored_login(
    server: OwnServer, registry: pr.PromptRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Target, judge and reflection model have one in their addresses. Nothing that is stored or said has it; a resume asks for it."""
    server.wants, server.refuses_after = LOGIN, 24
    pr.register_prompt("guess", SORT)
    address = f"openai+http://me:{SECRET}@{server.host}/v1"
    agent = pr.PromptAgent("prompts:/guess/1", f"{address}:org/task:1b")
    options = pr.RunOptions(attempts=1, on_event=lambda event: None)
    with pytest.raises((pr.errors.TargetFailed, pr.errors.ModelUnavailable)) as failed:
        pr.optimize_prompts(
            predict_fn=agent, train_data=rows(2), prompt_uris=["prompts:/guess/1"], scorers=["exact_match"], budget=60,
            reflection_model=f"{address}:org/reflection:8b@q4", options=options,
        )  # fmt: skip
    assert SECRET not in str(failed.value)
    [stored] = registry.store.runs.newest()
    server.refuses_after = None
    with pytest.raises(pr.UserError, match=r"set PROMPT_REGISTRY_MODEL_LOGIN=user:password"):
        pr.resume_run(stored.id)
    monkeypatch.setenv("PROMPT_REGISTRY_MODEL_LOGIN", f"me:{SECRET}")
    assert pr.resume_run(stored.id, on_event=lambda event: None).run_id == stored.id
    pr.try_prompts("sort", {"text": "an oak"}, models=[f"{address}:judge"], save=True)
    found = pr.compare(predict_fn=agent, data=rows()[:2], scorers=["exact_match"], models=[f"{address}:org/task:1b"])
    assert SECRET not in found.to_html() + json.dumps(found.to_json(), default=str) + str(found)
    registry.flush()
    for file in tmp_path.glob("prompts.db*"):
        assert SECRET.encode() not in file.read_bytes()
    assert server.keys == {LOGIN}
    assert "org/reflection:8b@q4" in {body.get("model") for _, _, body in server.seen}


def refused(spec: str) -> str:
    """Return the error of an answer, which is one line without secrets."""
    with pytest.raises(pr.errors.ModelUnavailable) as asked:
        pr.PromptAgent("sort", spec).predict({"text": "an oak"})
    assert "\n" not in str(asked.value)
    assert SECRET not in str(asked.value)
    assert KEY not in str(asked.value)
    return str(asked.value)


def test_errors_say_what_to_do(server: OwnServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, without a key or login, even if the server repeats it."""
    own = f"openai+http://{server.host}/v1"
    assert "get it with `ollama pull nobody`" in refused("ollama:nobody")
    assert "name one that the server lists under /models" in refused(f"{own}:nobody")
    assert "does the address lack a /v1?" in refused(f"openai+http://{server.host}:judge")
    code, _, err = run(capsys, "try", "sort", "--model", "ollama:nobody", "--set", "text=x")
    assert (code, err.count("\n")) == (1, 1)
    assert "get it with `ollama pull nobody`; it has judge, llama3.2:latest" in err
    server.wants = "Bearer right"
    assert "the server wants a key (401); set OPENAI_API_KEY" in refused(f"{own}:judge")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert "refuses the key in OPENAI_API_KEY (401); set the right one" in refused(f"{own}:judge")
    assert "refuses the login in the address (401)" in refused(f"openai+http://me:{SECRET}@{server.host}/v1:judge")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://{server.host}/v1")
    assert "refuses the key in OPENAI_API_KEY (401)" in refused("openai:judge")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(pr.UserError, match="needs the environment variable OPENAI_API_KEY"):
        resolve_model("openai:judge")


@pytest.mark.parametrize(("spec", "key", "address"), [
    ("anthropic:claude-x", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    ("google:gemini-x", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
])  # fmt: skip
def test_other_providers_say_what_to_do(
    server: OwnServer, monkeypatch: pytest.MonkeyPatch, spec: str, key: str, address: str
) -> None:
    """A key that is missing or wrong, a model that does not exist, and no server."""
    pytest.importorskip("anthropic" if spec.startswith("anthropic") else "google.genai")
    for name in ("ANTHROPIC_AUTH_TOKEN", "GEMINI_API_KEY", "GOOGLE_GENAI_USE_VERTEXAI", key):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pr.UserError, match=f"needs the environment variable {key}"):
        resolve_model(spec)
    monkeypatch.setenv(key, KEY)
    monkeypatch.setenv(address, f"http://{server.host}")
    server.wants = "another"
    assert "the server refuses the key; set the right one" in refused(spec)
    server.wants = None
    server.repeats = KEY
    assert "the server has no such model; check its name" in refused(spec)
    monkeypatch.setenv(address, "http://127.0.0.1:9")
    assert "the server cannot be reached" in refused(spec)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that nobody listens on."""
    pr.register_prompt("sort", SORT)
    with own_server() as gone:
        host = gone.host
    monkeypatch.setenv("OLLAMA_HOST", host)
    code, _, err = run(capsys, "try", "sort", "--model", "ollama:llama3.2", "--set", "text=x")
    assert (code, err.count("\n")) == (1, 1)
    assert f"at http://{host}/v1/: no server can be reached there" in err
    assert "start it with `ollama serve`, or set OLLAMA_HOST" in err
    code, _, err = run(capsys, "try", "sort", "--model", f"openai+http://me:{SECRET}@{host}/v1:m", "--set", "text=x")
    assert (code, err.count("\n")) == (1, 1)
    assert "correct the address in the model's name" in err
    assert SECRET not in err


@pytest.mark.parametrize(
    ("spec", "url", "name"),
    [
        ("openai+http://localhost:8000/v1:llama3:8b", "http://localhost:8000/v1", "llama3:8b"),
        ("openai+https://h.example/api/v1/:org/name:tag@x", "https://h.example/api/v1", "org/name:tag@x"),
        ("openai+http://[::1]:8000/v1:m", "http://[::1]:8000/v1", "m"),
        ("openai+http://localhost:m", "http://localhost", "m"),
        ("openai+http://localhost:8000:org/m", "http://localhost:8000", "org/m"),
        ("openai+http://localhost/v1:123", "http://localhost/v1", "123"),
    ],
)
def test_addresses(spec: str, url: str, name: str) -> None:
    """The name begins behind the first colon after the path."""
    server, found = server_and_name(spec)
    assert (server.url, found) == (url, name)
    assert split_spec(spec)[1] == name


@pytest.mark.parametrize(
    "spec",
    ["openai+http://", "openai+http://host", "openai+http://host:80", "openai+http://host:80/v1", "openai+http://host:80/v1:",
     "openai+http://host:99999/v1:m", "openai+http:host", f"openai+http://me:{SECRET}@", f"openai+http://me:a/{SECRET}@h/v1:m",
     f"openai+http://me:12/{SECRET}@h/v1:m", "openai+http://h/v1?key=x:m"],
)  # fmt: skip
def test_addresses_that_cannot_be_read(spec: str) -> None:
    """They are told without what may be a login."""
    with pytest.raises(pr.UserError) as told:
        resolve_model(spec)
    assert SECRET not in str(told.value)


_PART = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:%", min_size=1, max_size=20)


@given(_PART, st.sampled_from(["", ":8000"]), st.sampled_from(["/v1", "/a/b"]), st.sampled_from(["m", "o/m:1b", "m@q4"]))
def test_any_login_is_masked(login: str, port: str, path: str, name: str) -> None:
    """Whatever is in it, the server and the name are found, and masked text is as good as the rest of the address."""
    if "'" in login or set(login) == {"*"}:
        return
    spec = f"openai+http://{login}@host{port}{path}:{name}"
    server, found = server_and_name(spec)
    assert (server.url, found) == (f"http://host{port}{path}", name)
    assert mask_secrets(spec) == f"openai+http://***masked***@host{port}{path}:{name}"
    assert mask_secrets(mask_secrets(spec)) == mask_secrets(spec)


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("gpu", "http://gpu:11434/v1"),
        (":5000", "http://127.0.0.1:5000/v1"),
        ("gpu:5000", "http://gpu:5000/v1"),
        ("http://gpu", "http://gpu/v1"),
        ("https://gpu.example/ollama/", "https://gpu.example/ollama/v1"),
        ("http://gpu:5000/v1", "http://gpu:5000/v1"),
        ("[::1]:5000", "http://[::1]:5000/v1"),
        ("http://0.0.0.0:80", "http://127.0.0.1:80/v1"),
    ],
)
def test_where_ollama_is(monkeypatch: pytest.MonkeyPatch, said: str, url: str) -> None:
    """`OLLAMA_HOST` in the forms that Ollama takes."""
    monkeypatch.setenv("OLLAMA_HOST", said)
    assert ollama().url == url
    monkeypatch.setenv("OLLAMA_HOST", "a b")
    with pytest.raises(pr.UserError, match="OLLAMA_HOST is an address"):
        resolve_model("ollama:m")
    assert os.environ["OLLAMA_HOST"] == "a b"
