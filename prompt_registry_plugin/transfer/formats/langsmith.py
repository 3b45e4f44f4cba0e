"""LangSmith: manifests of prompts, LangChain's serialized form, alone or as commits. They are read as data: no class is ever made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.transfer.formats.files import MALFORMED, why
from prompt_registry_plugin.transfer.formats.langsmith_messages import MessageReader, class_of
from prompt_registry_plugin.transfer.formats.langsmith_settings import Model, read_model
from prompt_registry_plugin.transfer.formats.names import aliases_from, name_from, renamed
from prompt_registry_plugin.transfer.formats.pieces import write_template
from prompt_registry_plugin.transfer.formats.reading import read_json

_SEQUENCES = ("RunnableSequence", "PromptPlayground")


def read(source: str) -> Iterator[ImportedPrompt | LeftOut]:
    """Yield a prompt for each repository in a file: its commits are versions, oldest first. Raises `UserError` for other JSON."""
    data = read_json(source)
    if isinstance(data, Mapping) and isinstance(data.get("commits"), list):
        data = [
            {**{key: data[key] for key in ("repo", "repo_handle", "tags") if key in data}, **commit} for commit in data["commits"]
        ]
    commits: dict[str, list[Mapping[str, Any]]] = {}
    for commit in data if isinstance(data, list) else [data]:
        if not isinstance(commit, Mapping) or not (class_of(commit) or isinstance(commit.get("manifest"), Mapping)):
            raise UserError(f"{source} holds no LangSmith manifest")
        commits.setdefault(_repository(commit, source), []).append(commit)
    if not commits:
        raise UserError(f"{source} holds no LangSmith manifest")
    for repository, found in commits.items():
        yield from _prompt(repository, found, source)


def _repository(commit: Mapping[str, Any], source: str) -> str:
    """Return the name of a commit's repository. The `name` of a manifest is that of its class, and names no prompt."""
    names = [commit.get("repo"), commit.get("repo_handle"), commit.get("full_name")]
    names += [] if class_of(commit) else [commit.get("name")]
    return str(next((name for name in names if name), None) or Path(source).stem)


def _prompt(repository: str, commits: list[Mapping[str, Any]], source: str) -> Iterator[ImportedPrompt | LeftOut]:
    name = name_from(repository, "prompt")
    versions: list[NewVersion] = []
    notes: list[str] = []
    left_out: list[str] = []
    numbers: dict[str, int] = {}
    for commit in _oldest_first(commits):
        label = str(commit.get("commit_hash") or "")
        where = f"{repository} in {source}" + (f", commit {label[:8]}" if label else "")
        try:
            version, more_notes, more_left_out = _version(name, commit, where)
        except MALFORMED as error:
            yield LeftOut(f"{repository}, commit {label[:8]}" if label else repository, why(error))
            continue
        versions.append(version)
        numbers[label] = len(versions)
        notes += [note for note in more_notes if note not in notes]
        left_out += [note for note in more_left_out if note not in left_out]
    if not versions:
        return
    aliases, renames, lost = aliases_from(_tags(commits, numbers))
    yield ImportedPrompt(name, versions, aliases, {}, renamed(repository, name), notes + renames, left_out + lost)


def _tags(commits: list[Mapping[str, Any]], numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    tags: list[Any] = next((commit["tags"] for commit in commits if isinstance(commit.get("tags"), list)), [])
    pairs = [(tag.get("tag_name") or tag.get("name"), tag.get("commit_hash")) for tag in tags if isinstance(tag, Mapping)]
    return [(str(tag), numbers[str(commit)]) for tag, commit in pairs if tag and str(commit) in numbers]


def _oldest_first(commits: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return commits by their time, else by their parents, else as they are."""
    if all(commit.get("created_at") for commit in commits):
        return sorted(commits, key=lambda commit: str(commit["created_at"]))
    parents = {commit.get("commit_hash"): commit.get("parent_commit_hash") or commit.get("parent_hash") for commit in commits}
    if len(parents) != len(commits) or not any(parents.values()):
        return commits

    def depth(commit: Mapping[str, Any]) -> int:
        found, current = 0, parents.get(commit.get("commit_hash"))
        while current is not None and found <= len(commits):
            found, current = found + 1, parents.get(current)
        return found

    return sorted(commits, key=depth)


def _version(name: str, commit: Mapping[str, Any], where: str) -> tuple[NewVersion, list[str], list[str]]:
    """Return the version that a commit holds, what is different here, and what was left out."""
    manifest = commit if class_of(commit) else commit["manifest"]
    prompt, model = _split(manifest)
    reader = MessageReader(where)
    template = reader.read(prompt)
    done = write_template(template, reader.defaults)
    schema = prompt["kwargs"].get("schema_") or prompt["kwargs"].get("schema")
    notes, left_out = reader.notes + model.notes + done.notes, reader.left_out + model.left_out
    if schema is not None and (not isinstance(schema, Mapping) or class_of(schema)):
        left_out.append("the schema of the answer: it is defined in a program")
        schema = None
    if prompt["kwargs"].get("structured_output_kwargs"):
        notes.append("'structured_output_kwargs' stays with the program that calls the model")
    created = commit.get("created_at")
    tags = {"langsmith_commit": str(commit["commit_hash"])} if commit.get("commit_hash") else {}
    version = NewVersion(
        name,
        done.template,
        template_format=done.template_format,
        tags=tags | ({"langsmith_model": model.name} if model.name else {}),
        response_format=schema or model.response_format,
        model_config=model.config or None,
        tools=model.tools,
        created_by="langsmith",
        created_at=datetime.fromisoformat(created) if isinstance(created, str) and _has_zone(created) else None,
    )
    return version, notes, left_out


def _has_zone(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _split(manifest: Any) -> tuple[Mapping[str, Any], Model]:
    """Return the prompt of a manifest, and the model that it was saved with. Raises `UserError`."""
    if class_of(manifest) not in _SEQUENCES:
        return _as_prompt(manifest), Model()
    steps = manifest.get("kwargs") or {}
    middle = steps.get("middle")
    found = [steps.get("first"), *(middle if isinstance(middle, list) else []), steps.get("last")]
    at = next((i for i, step in enumerate(found) if "Prompt" in (class_of(step) or "")), 0)
    model = Model()
    for step in found[at + 1 :]:
        if not model.name and class_of(step):
            model = read_model(step)
        elif class_of(step):
            model.left_out.append(f"the step {class_of(step)!r} after the model")
    model.left_out += [f"the step {class_of(step)!r} before the prompt" for step in found[:at]]
    return _as_prompt(found[at]), model


def _as_prompt(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not isinstance(value.get("kwargs"), Mapping):
        raise UserError(f"it holds no prompt that can be read, but {class_of(value) or type(value).__name__!r}")
    return value
