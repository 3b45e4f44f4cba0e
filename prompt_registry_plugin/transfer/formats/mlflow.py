"""MLflow's prompt registry: its SQLite file (`mlflow.db`, `sqlite:///mlflow.db`) or a tracking server (`http://…`).

There a prompt is a registered model with a tag, and the text of a version is a tag of the version.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import RunError, UserError
from prompt_registry_plugin.protocols import ImportedPrompt, NewVersion
from prompt_registry_plugin.transfer.formats.reading import from_braces, name_from, with_texts

_IS_PROMPT = "mlflow.prompt.is_prompt"
_TEXT = "mlflow.prompt.text"


def read(source: str) -> Iterable[ImportedPrompt]:
    """All prompts with their versions, numbers, aliases and tags. Raises `UserError` for a file that is not MLflow's."""
    if source.startswith(("http://", "https://")):
        return _read_server(source.rstrip("/"))
    return _read_file(Path(source.removeprefix("sqlite:///")).expanduser())


def _read_file(path: Path) -> list[ImportedPrompt]:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row

            def rows(sql: str, *parameters: Any) -> list[dict[str, Any]]:
                return [dict(row) for row in connection.execute(sql, parameters)]

            names = [
                row["name"]
                for row in rows(
                    "SELECT name FROM registered_model_tags WHERE key = ? AND value = 'true' ORDER BY name", _IS_PROMPT
                )
            ]
            return [
                _prompt(
                    name,
                    _pairs(rows("SELECT key, value FROM registered_model_tags WHERE name = ?", name)),
                    [
                        {
                            **version,
                            "tags": _pairs(
                                rows(
                                    "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?",
                                    name,
                                    version["version"],
                                )
                            ),
                        }
                        for version in rows("SELECT * FROM model_versions WHERE name = ? ORDER BY version", name)
                    ],
                    {
                        row["alias"]: int(row["version"])
                        for row in rows("SELECT alias, version FROM registered_model_aliases WHERE name = ?", name)
                    },
                )
                for name in names
            ]
    except sqlite3.Error as error:
        raise UserError(f"{path} is no SQLite file of MLflow's: {error}") from error


def _read_server(address: str) -> Iterator[ImportedPrompt]:
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
        yield _prompt(name, _pairs(model.get("tags", [])), sorted(rows, key=lambda row: row["version"]), aliases)


def _pages(address: str, path: str, key: str, filter_string: str) -> Iterator[dict[str, Any]]:
    from urllib.error import URLError
    from urllib.parse import urlencode
    from urllib.request import urlopen

    token = ""
    while True:
        query = urlencode({"filter": filter_string, "max_results": 100, **({"page_token": token} if token else {})})
        url = f"{address}/api/2.0/mlflow/{path}?{query}"
        try:
            with urlopen(url, timeout=30) as answer:  # noqa: S310  http or https, as the user wrote it
                page = json.load(answer)
        except (URLError, OSError, ValueError) as error:
            raise RunError(f"the MLflow server at {address} did not answer {path}: {error}") from error
        yield from page.get(key, [])
        token = page.get("next_page_token") or ""
        if not token:
            return


def _prompt(name: str, tags: Mapping[str, str], rows: Iterable[Mapping[str, Any]], aliases: Mapping[str, int]) -> ImportedPrompt:
    versions = [_version(name, row) for row in rows if _TEXT in row["tags"]]
    return ImportedPrompt(name_from(name, "prompt"), versions, aliases, _visible_tags(tags))


def _version(name: str, row: Mapping[str, Any]) -> NewVersion:
    tags = row["tags"]
    text: Any = tags[_TEXT]
    if tags.get("_mlflow_prompt_type") == "chat":
        text = json.loads(text)
    is_jinja = isinstance(text, str) and "{%" in text  # the rule by which MLflow decides
    return NewVersion(
        name_from(name, "prompt"),
        text if is_jinja else with_texts(text, from_braces),
        commit_message=row.get("description") or None,
        tags=_visible_tags(tags),
        template_format="jinja2" if is_jinja else "double_brace",
        response_format=_json(tags.get("_mlflow_prompt_response_format")),
        model_config=_json(tags.get("_mlflow_prompt_model_config")),
        created_by=row.get("user_id") or "mlflow",
        created_at=datetime.fromtimestamp(int(row["creation_time"]) / 1000, UTC) if row.get("creation_time") else None,
        version=int(row["version"]),
    )


def _visible_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key and not key.startswith(("mlflow.", "_mlflow"))}


def _pairs(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {row["key"]: str(row["value"]) for row in rows}


def _json(text: str | None) -> Any:
    return None if not text else json.loads(text)
