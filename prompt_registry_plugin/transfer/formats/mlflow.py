"""MLflow's prompt registry: its SQLite file (`mlflow.db`, `sqlite:///mlflow.db`) or a tracking server (`http://…`).

There a prompt is a registered model with a tag, and the text of a version is a tag of the version.
"""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request

from prompt_registry_plugin.errors import RunError, UserError
from prompt_registry_plugin.masking import mask_url
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.templates.chat import map_strings
from prompt_registry_plugin.transfer.formats import jinja_text
from prompt_registry_plugin.transfer.formats.braces import read_identifiers
from prompt_registry_plugin.transfer.formats.files import MALFORMED, why
from prompt_registry_plugin.transfer.formats.names import aliases_from, name_from, renamed
from prompt_registry_plugin.transfer.formats.pieces import JinjaText, Pieces, write_template
from prompt_registry_plugin.transfer.formats.reading import MAX_BYTES, parse_json

_IS_PROMPT = "mlflow.prompt.is_prompt"
_TEXT = "mlflow.prompt.text"


def read(source: str) -> Iterable[ImportedPrompt | LeftOut]:
    """Return all prompts with their versions, numbers, aliases and tags. Raises `UserError` for a file that is not MLflow's."""
    if source.startswith(("http://", "https://")):
        return _read_server(source.rstrip("/"))
    return _read_file(Path(source.removeprefix("sqlite:///")).expanduser())


def _read_file(path: Path) -> list[ImportedPrompt | LeftOut]:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row

            def rows(sql: str, *parameters: Any) -> list[dict[str, Any]]:
                return [dict(row) for row in connection.execute(sql, parameters)]

            names = rows("SELECT name FROM registered_model_tags WHERE key = ? AND value = 'true' ORDER BY name", _IS_PROMPT)
            return [found for row in names for found in _read_prompt(row["name"], rows)]
    except sqlite3.Error as error:
        raise UserError(f"{path} is not an SQLite file of MLflow: {error}") from error


def _read_prompt(name: str, rows: Callable[..., list[dict[str, Any]]]) -> Iterator[ImportedPrompt | LeftOut]:
    tag_sql = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
    aliases = rows("SELECT alias, version FROM registered_model_aliases WHERE name = ?", name)
    yield from _prompt(
        name,
        _pairs(rows("SELECT key, value FROM registered_model_tags WHERE name = ?", name)),
        [
            {**version, "tags": _pairs(rows(tag_sql, name, version["version"]))}
            for version in rows("SELECT * FROM model_versions WHERE name = ? ORDER BY version", name)
        ],
        {row["alias"]: int(row["version"]) for row in aliases},
    )


def _read_server(address: str) -> Iterator[ImportedPrompt | LeftOut]:
    for model in _pages(address, "registered-models/search", "registered_models", f"tags.`{_IS_PROMPT}` = 'true'"):
        name = model["name"]
        versions = _pages(address, "model-versions/search", "model_versions", f"name = '{name}' AND tags.`{_IS_PROMPT}` = 'true'")
        rows = [
            {
                **version,
                "version": int(version["version"]),
                "creation_time": version.get("creation_timestamp"),
                "tags": _pairs(version.get("tags", [])),
            }
            for version in versions
        ]
        aliases = {alias["alias"]: int(alias["version"]) for alias in model.get("aliases", [])}
        yield from _prompt(name, _pairs(model.get("tags", [])), sorted(rows, key=lambda row: row["version"]), aliases)


def _pages(address: str, path: str, key: str, filter_string: str) -> Iterator[dict[str, Any]]:
    from http.client import HTTPException
    from urllib.parse import urlencode
    from urllib.request import urlopen

    token, seen = "", set[str]()
    while True:
        query = urlencode({"filter": filter_string, "max_results": 100, **({"page_token": token} if token else {})})
        try:
            with urlopen(_request(f"{address}/api/2.0/mlflow/{path}?{query}"), timeout=30) as answer:  # noqa: S310  http or https
                text = answer.read(MAX_BYTES + 1)
            page = parse_json(text.decode(), "its answer")
        except (HTTPException, OSError, ValueError, UserError) as error:
            raise RunError(f"the MLflow server at {mask_url(address)} did not answer {path}: {error}") from error
        yield from page.get(key, [])
        token = page.get("next_page_token") or ""
        if not token or token in seen:
            return
        seen.add(token)


def _request(url: str) -> Request:
    """Return a request; a login in the URL becomes a header, as a URL with one cannot be opened."""
    parts = urlsplit(url)
    request = Request(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))  # noqa: S310  http or https
    if parts.username:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        request.add_header("Authorization", "Basic " + b64encode(login.encode()).decode())
    return request


def _prompt(
    original: str, tags: Mapping[str, str], rows: Iterable[Mapping[str, Any]], aliases: Mapping[str, int]
) -> Iterator[ImportedPrompt | LeftOut]:
    name = name_from(original, "prompt")
    versions: list[NewVersion] = []
    notes: list[str] = []
    for row in rows:
        if _TEXT not in row["tags"]:
            continue
        try:
            versions.append(_version(name, row, notes))
        except MALFORMED as error:
            yield LeftOut(f"{original} version {row['version']}", why(error))
    numbers = {version.version for version in versions}
    kept, renames, lost = aliases_from((alias, number) for alias, number in aliases.items() if number in numbers)
    lost += [f"alias {alias!r}: version {number} was left out" for alias, number in aliases.items() if number not in numbers]
    if versions:
        yield ImportedPrompt(name, versions, kept, _visible_tags(tags), renamed(original, name), notes + renames, lost)


def _version(name: str, row: Mapping[str, Any], notes: list[str]) -> NewVersion:
    tags = row["tags"]
    template: Any = tags[_TEXT]
    if tags.get("_mlflow_prompt_type") == "chat":
        template = parse_json(template, f"the text of version {row['version']}")
    if isinstance(template, str):
        done = write_template(_reader([template], notes)(template))
    else:
        if not isinstance(template, list) or not all(isinstance(message, Mapping) for message in template):
            raise UserError("its text is not a list of messages")
        read_text = _reader([message.get("content") for message in template], notes)
        done = write_template([{**message, "content": map_strings(message.get("content"), read_text)} for message in template])
    notes += [note for note in done.notes if note not in notes]
    return NewVersion(
        name,
        done.template,
        commit_message=row.get("description") or None,
        tags=_visible_tags(tags),
        template_format=done.template_format,
        response_format=_json(tags.get("_mlflow_prompt_response_format")),
        model_config=_json(tags.get("_mlflow_prompt_model_config")),
        created_by=row.get("user_id") or "mlflow",
        created_at=datetime.fromtimestamp(int(row["creation_time"]) / 1000, UTC) if row.get("creation_time") else None,
        version=int(row["version"]),
    )


def _reader(texts: list[Any], notes: list[str]) -> Callable[[str], Pieces | JinjaText]:
    """Return what reads the texts of a version: all of them are Jinja if one of them has a statement, as MLflow decides."""
    if any(isinstance(text, str) and "{%" in text and "%}" in text for text in texts):
        return lambda text: jinja_text.read_text(text.removesuffix("\n"), "its text")
    return lambda text: read_identifiers(text, notes)


def _visible_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key and not key.startswith(("mlflow.", "_mlflow"))}


def _pairs(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {row["key"]: str(row["value"]) for row in rows}


def _json(text: str | None) -> Any:
    return None if not text else parse_json(text, "a setting")
