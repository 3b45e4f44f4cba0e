"""Prompts and whole registries on the move: importers, export, copy."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli import main
from prompt_registry_plugin.plugins import create_plugin_manager
from prompt_registry_plugin.transfer.archive import export_registry, restore_registry
from tests.importing import reasons, run_import, write
from tests.stores import postgres_url


def import_prompts(registry: pr.PromptRegistry, source: str, format_name: str) -> list[str]:
    """Import a source and return the URIs of the new versions."""
    results = run_import(registry, source, format_name)
    return [f"prompts:/{name}/{number}" for name, item in results.items() for number in item.versions]


MLFLOW_VERSIONS: list[tuple[str, int, str, dict[str, str]]] = [
    ("support", 1, "first", {"mlflow.prompt.text": "Hi {{name}} {{ bad-one }}", "_mlflow_prompt_type": "text", "team": "care"}),
    ("support", 3, "", {
        "mlflow.prompt.text": "Hello {{name}}", "_mlflow_prompt_type": "text",
        "_mlflow_prompt_model_config": '{"temperature": 0.2}', "_mlflow_prompt_response_format": '{"type": "object"}',
    }),
    ("chat", 1, "", {"mlflow.prompt.text": '[{"role": "user", "content": "{{q}}"}]', "_mlflow_prompt_type": "chat"}),
    ("jinja", 1, "", {"mlflow.prompt.text": "{% if a %}{{ a }}{% endif %}", "_mlflow_prompt_type": "text"}),
]  # fmt: skip


@pytest.fixture
def mlflow_file(tmp_path: Path) -> str:
    """The tables of an MLflow database that hold prompts, as MLflow 3.17 writes them, beside a model that is no prompt."""
    path = tmp_path / "mlflow.db"
    db = sqlite3.connect(path)
    db.executescript(
        """CREATE TABLE registered_models (name TEXT, creation_time BIGINT, last_updated_time BIGINT, description TEXT);
        CREATE TABLE registered_model_tags ("key" TEXT, value TEXT, name TEXT);
        CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time BIGINT, description TEXT, user_id TEXT);
        CREATE TABLE model_version_tags ("key" TEXT, value TEXT, name TEXT, version INTEGER);
        CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT);
        INSERT INTO registered_models VALUES ('a-model', 1, 1, NULL);
        INSERT INTO registered_model_aliases VALUES ('production', 1, 'support');"""
    )
    for name in ("support", "chat", "jinja"):
        db.execute("INSERT INTO registered_model_tags VALUES ('mlflow.prompt.is_prompt', 'true', ?)", (name,))
    db.execute("INSERT INTO registered_model_tags VALUES ('owner', 'me', 'support')")
    for name, version, message, tags in MLFLOW_VERSIONS:
        db.execute("INSERT INTO model_versions VALUES (?, ?, 1795193645539, ?, NULL)", (name, version, message))
        db.executemany("INSERT INTO model_version_tags VALUES (?, ?, ?, ?)", [(k, v, name, version) for k, v in tags.items()])
    db.commit()
    db.close()
    return str(path)


@pytest.fixture
def mlflow_server() -> Iterator[str]:
    """A stand-in for an MLflow server: its two search calls, two results a page. (The importer was tried on a real one by hand.)"""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if parts.path.endswith("registered-models/search"):
                key, rows = "registered_models", [
                    {"name": name, "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}],
                     "aliases": [{"alias": "production", "version": "1"}] if name == "support" else []}
                    for name in ("chat", "jinja", "support")
                ]  # fmt: skip
            else:
                key, rows = "model_versions", [
                    {"name": name, "version": str(version), "creation_timestamp": 1795193645539, "description": message,
                     "tags": [{"key": k, "value": v} for k, v in tags.items()]}
                    for name, version, message, tags in reversed(MLFLOW_VERSIONS) if f"'{name}'" in query["filter"]
                ]  # fmt: skip
            start = int(query.get("page_token", 0))
            body = {key: rows[start : start + 2], **({"next_page_token": str(start + 2)} if len(rows) > start + 2 else {})}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["file", "url", "server"])
def test_mlflow(kind: str, mlflow_file: str, mlflow_server: str, registry: pr.PromptRegistry) -> None:
    """Numbers, gaps included, texts, chats, Jinja, settings, tags, aliases and times; again, and nothing is new."""
    source = {"file": mlflow_file, "url": f"sqlite:///{mlflow_file}", "server": mlflow_server}[kind]
    versions = import_prompts(registry, source, "mlflow")
    assert sorted(versions) == [
        "prompts:/chat/1", "prompts:/jinja/1", "prompts:/support/1", "prompts:/support/3",
    ]  # fmt: skip
    first = pr.load_prompt("prompts:/support@production")
    assert first.format(name="Ann") == "Hi Ann {{ bad-one }}", "braces that MLflow leaves alone stay text"
    assert (first.version, first.commit_message, first.tags, first.created_at.year) == (1, "first", {"team": "care"}, 2026)
    newest = pr.load_prompt("support")
    assert (newest.version, newest.model_config, newest.response_format) == (3, {"temperature": 0.2}, {"type": "object"})
    assert pr.load_prompt("chat").format(q="?") == [{"role": "user", "content": "?"}]
    assert pr.load_prompt("jinja").format(a="x") == "x"
    assert import_prompts(registry, source, "mlflow") == []
    assert pr.register_prompt("support", "own").version == 4


def test_mlflow_versions_that_clash_are_left_out(mlflow_file: str, registry: pr.PromptRegistry) -> None:
    """And the other prompts are imported."""
    pr.register_prompt("support", "something else")
    assert reasons(run_import(registry, mlflow_file, "mlflow"))["support"].startswith(
        "version 1 of 'support' has another text here"
    )
    assert [version.version for version in registry.store.prompts.versions("support")] == [1]
    assert pr.load_prompt("jinja").version == 1


def test_langfuse(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Labels, placeholders, settings, and references to other prompts."""
    rows = [
        {"name": "support", "version": 2, "type": "text", "prompt": "Hi {{name}}\n@@@langfusePrompt:name=footer|label=production@@@",
         "labels": ["latest", "staging"], "config": {"model": "m"}, "tags": ["care"], "createdAt": "2026-01-02T03:04:05.000Z"},
        {"name": "support", "version": 1, "type": "text", "prompt": "Old {{name}} {{#if x}}", "labels": ["production"], "config": {}},
        {"name": "footer", "version": 1, "type": "text", "prompt": "Bye {{name}}", "labels": ["production"]},
        {"name": "a chat", "version": 1, "type": "chat", "prompt": [
            {"type": "chatmessage", "role": "system", "content": "S {{x}}"}, {"type": "placeholder", "name": "history"},
        ]},
    ]  # fmt: skip
    import_prompts(registry, write(tmp_path / "export.json", {"data": rows}), "langfuse")
    prompt = pr.load_prompt("prompts:/support@staging")
    assert prompt.format(name="Ann") == "Hi Ann\nBye Ann"
    assert (prompt.version, prompt.model_config, prompt.tags, prompt.created_at.month) == (2, {"model": "m"}, {"care": "true"}, 1)
    assert pr.load_prompt("prompts:/support@production").format(name="A") == "Old A {{#if x}}"
    assert pr.load_prompt("a-chat").format(x=1, history=[]) == [{"role": "system", "content": "S 1"}]
    assert import_prompts(registry, str(tmp_path / "export.json"), "langfuse") == []


def test_importing_again_moves_nothing_back(tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Aliases and tags that were changed here since stay."""
    rows = [{"name": "p", "version": n, "prompt": f"{n}", "labels": ["production", "v2"] if n == 1 else []} for n in (1, 2)]
    source = write(tmp_path / "p.json", rows)
    import_prompts(registry, source, "langfuse")
    assert pr.search_prompts()[0].aliases == {"label-v2": 1, "production": 1}
    pr.set_prompt_alias("p", "production", 2)
    import_prompts(registry, source, "langfuse")
    assert pr.load_prompt("prompts:/p@production").version == 2


@pytest.mark.parametrize(
    ("format_name", "data"),
    [
        ("langfuse", {"name": "p", "prompt": "x", "version": "one"}),
        ("langfuse", {"name": "p", "prompt": 5}),
        ("langfuse", {"name": "p", "prompt": [{"type": "placeholder"}]}),
        ("langfuse", {"name": "p", "prompt": "x", "createdAt": "soon"}),
        ("langsmith", {"lc": 1, "type": "constructor", "id": ["PromptTemplate"]}),
        ("langsmith", {"lc": 1, "type": "constructor", "id": ["ChatPromptTemplate"], "kwargs": {"messages": ["x"]}}),
        ("openai", {"prompt": {"id": "p", "variables": [1]}, "instructions": 5}),
        ("promptfoo", {"prompts": [""]}),
    ],
)
def test_malformed_rows_are_told_in_words(format_name: str, data: Any, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """And nothing is registered."""
    source = write(tmp_path / "x.json", data)
    with suppress(pr.errors.UserError):
        assert reasons(run_import(registry, source, format_name))
    assert pr.search_prompts() == []


@pytest.mark.parametrize(
    "row",
    [
        ("prompts", {"name": "../../escaped", "number": 1, "created_at": "x"}),
        ("prompts", 5),
        ("_sqlite_migrations", {"name": "m999"}),
        ("prompt_aliases", {"name": "p", "alias": "latest", "version": 1}),
        ("prompt_aliases", {"name": "nobody", "alias": "a", "version": 1}),
        ("prompt_versions", {"name": "p", "version": 1, "template": "no json"}),
    ],
)
def test_an_export_from_elsewhere_is_not_trusted(row: Any, registry: pr.PromptRegistry) -> None:
    """Names, tables and contents are checked; nothing is written."""
    with pytest.raises(pr.errors.InvalidStore, match=r"do(?:es)? not|cannot be read"):
        registry.store.restore([row])
    assert list(registry.store.dump()) == []


@pytest.mark.parametrize("name", ["langfuse", "langsmith", "mlflow", "openai", "promptfoo", "prompty", "dotprompt"])
@pytest.mark.parametrize("content", ["", "{", "[]", "5", '{"a": 1}', "\x00\xff", None])
def test_what_cannot_be_read_is_told(name: str, content: str | None, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """No importer fails in any other way, on any of these."""
    path = tmp_path / ("folder" if content is None else "file")
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    try:
        import_prompts(registry, str(path), name)
    except pr.UserError:
        assert pr.search_prompts() == []


def test_an_importer_of_a_plugin_is_found(tmp_path: Path) -> None:
    """By its name; an unknown one is told with near matches."""

    class Plugin:
        @pr.hookimpl
        def prompt_registry_importers(self) -> dict[str, Any]:
            return {
                "mine": lambda source: [
                    pr.protocols.ImportedPrompt("p", [pr.protocols.NewVersion("p", source)], {"a": 1}, {"k": "v"})
                ]
            }

    with pr.PromptRegistry(f"sqlite:///{tmp_path}/x.db", plugins=create_plugin_manager(Plugin())) as registry:
        import_prompts(registry, "the text", "mine")
        assert registry.load_prompt("prompts:/p@a").template == "the text"
        with pytest.raises(pr.errors.PluginError, match="did you mean 'mlflow'"):
            import_prompts(registry, "x", "mlfow")


def test_an_export_and_back_loses_nothing(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Byte for byte the same rows; a cut file, another program's and a registry that is not empty are refused."""
    for text in ("one ✓", "two"):
        pr.register_prompt("p", text, tags={"a": "b"})
        pr.set_prompt_alias("p", "production", pr.load_prompt("p").version, reason="r")
    pr.rollback("p")
    with pr.record():
        pr.load_prompt("p").format()
    path = tmp_path / "all.jsonl"
    main_code(["export", str(path)])
    with pr.open_registry(f"sqlite:///{tmp_path}/back.db") as back:
        lines = path.read_text().splitlines(keepends=True)
        for broken in (lines[:-1], lines[:-3] + lines[-1:], lines[1:], ["{}"], ["x"], []):
            (tmp_path / "broken.jsonl").write_text("".join(broken))
            with pytest.raises(pr.errors.InvalidStore):
                restore_registry(back, tmp_path / "broken.jsonl")
        assert list(back.store.dump()) == []
        restore_registry(back, path)
        assert list(back.store.dump()) == list(registry.store.dump())
        assert back.prompt_history("p") == pr.prompt_history("p")
        with (tmp_path / "again.jsonl").open("w") as file:
            export_registry(back, file)
        assert (tmp_path / "again.jsonl").read_text() == path.read_text()
        with pytest.raises(pr.errors.InvalidStore, match="empty"):
            restore_registry(back, path)


@pytest.mark.parametrize("lost", ["inputs", "row", "order"])
def test_a_dataset_that_lost_something_is_not_restored(registry: pr.PromptRegistry, tmp_path: Path, lost: str) -> None:
    """Characters of a row, a row, or the order of rows: content is compared with its hash."""
    registry.register_dataset("d", [{"inputs": {"q": f"Grüße {i}", "n": 1.5}, "expectations": {"a": [i]}} for i in range(3)])
    with (tmp_path / "all.jsonl").open("w", encoding="utf-8") as file:
        export_registry(registry, file)
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    members = [row for row in rows if row.get("table") == "dataset_members"]
    if lost == "inputs":
        next(row for row in rows if row.get("table") == "dataset_rows")["row"]["inputs"] = '{"q": "Gr??e 0", "n": 1.5}'
    elif lost == "row":
        rows.remove(members[1])
        rows[-1]["rows"] -= 1
    else:
        members[0]["row"]["row_id"], members[1]["row"]["row_id"] = members[1]["row"]["row_id"], members[0]["row"]["row_id"]
    (tmp_path / "lost.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with pr.PromptRegistry(f"sqlite:///{tmp_path / 'new.db'}") as new:
        with pytest.raises(pr.errors.InvalidStore, match="Nothing was restored"):
            restore_registry(new, tmp_path / "lost.jsonl")
        restore_registry(new, tmp_path / "all.jsonl")
        assert [dict(row.inputs) for row in new.load_dataset("d")] == [{"q": f"Grüße {i}", "n": 1.5} for i in range(3)]


def test_a_registry_is_copied_to_postgresql_and_back(
    registry: pr.PromptRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command, history and all."""
    monkeypatch.setenv("PROMPT_REGISTRY_CACHE", str(tmp_path / "cache"))
    for text in ("one", "two"):
        pr.register_prompt("p", text)
        pr.set_prompt_alias("p", "production", pr.load_prompt("p").version)
    with postgres_url() as url:
        main_code(["copy", registry.url, url])
        main_code(["copy", url, f"sqlite:///{tmp_path}/back.db"])
    with pr.open_registry(f"sqlite:///{tmp_path}/back.db") as back:
        assert list(back.store.dump()) == list(registry.store.dump())
    with pytest.raises(SystemExit) as exit_:
        main(["copy", f"sqlite:///{tmp_path}/nowhere.db", registry.url])
    assert exit_.value.code == 2
    assert not (tmp_path / "nowhere.db").exists()


def main_code(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 0
