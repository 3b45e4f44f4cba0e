"""dotprompt: YAML front matter with picoschema, then Handlebars, as Genkit and other tools of Google write it.

Files of this registry have the same suffix and a form of their own (`prompt_file`). They are recognized and read as such.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError, needs_extra
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut, NewVersion
from prompt_registry_plugin.records import EMPTY
from prompt_registry_plugin.transfer.formats import prompt_file
from prompt_registry_plugin.transfer.formats.credentials import without_credentials
from prompt_registry_plugin.transfer.formats.dotprompt_body import Inputs, read_body
from prompt_registry_plugin.transfer.formats.files import each_file, file_name, find_files
from prompt_registry_plugin.transfer.formats.names import name_from, renamed
from prompt_registry_plugin.transfer.formats.picoschema import UnknownSchema, to_json_schema
from prompt_registry_plugin.transfer.formats.reading import parse_yaml, read_text

_FRONT_MATTER = re.compile(r"(?:(?:#[^\n]*|[ \t]*)\n)*---\s*(?:\r\n|\r|\n)([\s\S]*?)(?:\r\n|\r|\n)---\s*(?:\r\n|\r|\n)([\s\S]*)")
_BLANK = " \t\r\n\f\v\u00a0\ufeff"  # what JavaScript's trim() removes
_OPTIONS = ("toolChoice", "maxTurns", "returnToolRequests")
_READ = ("model", "config", "description", "input", "output", "tools", "toolDefs", *_OPTIONS)


def read(source: str) -> Iterator[ImportedPrompt | LeftOut]:
    """Yield the prompt of one file, or of every `.prompt` file in a folder; a file that cannot be read is left out.

    Partials (`_name.prompt`) are written into the prompts that include them, and are not prompts themselves.
    """
    path = Path(source).expanduser()
    partials = _Partials(path)
    # Which partials are used is known once all files are read.
    found = list(each_file(path, prompt_file.SUFFIX, lambda file, root: _prompt(file, root, partials)))
    yield from (item for item in found if not partials.is_used(item))


class _Partials:
    """The partials of a file or folder. A prompt includes the one that is nearest: in its folder, in one above, or the only one."""

    def __init__(self, path: Path) -> None:
        self._root = path if path.is_dir() else path.parent
        self._is_folder = path.is_dir()
        files = find_files(self._root, prompt_file.SUFFIX) if path.is_dir() else self._root.glob(f"_*{prompt_file.SUFFIX}")
        self._files: dict[str, list[Path]] = {}
        for file in sorted(files):
            if file.name.startswith("_"):
                self._files.setdefault(file.stem[1:], []).append(file)
        self._used: set[Path] = set()
        self._texts: dict[Path, str] = {}

    def near(self, path: Path) -> dict[str, Path]:
        """Return the partials that a file includes, by name."""
        found = {}
        for name, files in self._files.items():
            above = [file for file in files if file.parent in path.parents]
            if above or len(files) == 1:
                found[name] = max(above or files, key=lambda file: len(file.parts))
        return found

    def text(self, path: Path) -> str:
        """Return the text of a partial."""
        if path not in self._texts:
            self._texts[path] = read_text(path, keep_line_ends=True)
        return self._texts[path]

    def use(self, paths: Iterable[Path]) -> None:
        """Remember that the text of these files is part of a prompt."""
        self._used.update(paths)

    def is_used(self, found: ImportedPrompt | LeftOut) -> bool:
        """Return whether this is a partial of a folder that a prompt includes, and so no prompt itself."""
        name = found.name if isinstance(found, LeftOut) else f"{found.original or found.name}{prompt_file.SUFFIX}"
        return self._is_folder and self._root / name in self._used


def _prompt(path: Path, folder: Path | None, partials: _Partials) -> ImportedPrompt:
    text = read_text(path, keep_line_ends=True)
    original = file_name(path, folder)
    name = name_from(original, "prompt")
    own = prompt_file.own_name(text.replace("\r\n", "\n"), original)
    if own is not None:
        name = own if folder is None else name
        return ImportedPrompt(name, [prompt_file.from_text(text.replace("\r\n", "\n"), name)], {}, {})
    match = _FRONT_MATTER.fullmatch(text)
    head = parse_yaml(match[1], path.name, version="1.2") if match else {}
    if head is not None and not isinstance(head, dict):
        raise UserError(f"the front matter of {path.name} is not a mapping, but a {type(head).__name__}")
    settings = _Settings(head or {}, path.name)
    near = partials.near(path)
    texts = {name: partials.text(file) for name, file in near.items()}
    body = read_body(match[2].strip(_BLANK) if match else text, settings.inputs, texts, path.name)
    partials.use(near[name] for name in body.partials)
    version = NewVersion(
        name,
        body.template,
        commit_message=settings.description,
        tags=settings.tags,
        template_format=body.template_format,
        variables={body.names[name]: schema for name, schema in settings.schemas.items() if name in body.names} or EMPTY,
        model_config=settings.model_config or None,
        response_format=settings.response_format,
        tools=settings.tools or None,
        created_by="dotprompt",
    )
    unused = [f"input {key!r} is not used in the text" for key in sorted(settings.inputs.names - body.names.keys())]
    return ImportedPrompt(
        name, [version], {}, {}, renamed(original, name), [*settings.notes, *body.notes, *unused], settings.left_out
    )


class _Settings:
    """The front matter of a file."""

    def __init__(self, head: dict[str, Any], file: str) -> None:
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self._file = file
        self.description = None if head.get("description") is None else str(head["description"])
        config: dict[str, Any] = {"model": head["model"]} if head.get("model") else {}
        config |= self._mapping(head.get("config"), "config")
        config |= {key: head[key] for key in _OPTIONS if key in head}
        self.model_config, dropped = without_credentials(config, "config")
        self.left_out += dropped
        output = self._output(head.get("output"))
        self.response_format = self._schema(output.get("schema"), "output.schema")
        rest = {key: value for key, value in head.items() if key not in _READ}
        rest |= {f"output.{key}": value for key, value in output.items() if key != "schema"}
        self.tags = {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in rest.items()
        }
        self.tools = self._tools(head.get("tools"), head.get("toolDefs"))
        self._read_inputs(self._mapping(head.get("input"), "input"))

    def _read_inputs(self, given: Mapping[str, Any]) -> None:
        schema = self._schema(given.get("schema"), "input.schema") or {}
        properties = schema.get("properties")
        properties = properties if isinstance(properties, Mapping) else {}
        defaults = self._mapping(given.get("default"), "input.default")
        self.inputs = Inputs(schema, dict(defaults))
        self.schemas: dict[str, Any] = {}
        for name, property_schema in properties.items():
            checked = self._checked(property_schema, f"input.schema.{name}")
            if checked is not None:
                self.schemas[name] = {**checked, **({"default": defaults[name]} if name in defaults else {})}

    def _output(self, value: Any) -> Mapping[str, Any]:
        return self._mapping(value, "output")

    def _schema(self, value: Any, where: str) -> dict[str, Any] | None:
        """Return a JSON Schema, or None, if there is none or it is left out."""
        try:
            schema = to_json_schema(value)
        except UnknownSchema as error:
            self.left_out.append(f"{where}: {error}")
            return None
        except UserError as error:
            raise UserError(f"{where} of {self._file}: {error}") from error
        if isinstance(schema, dict) and where == "output.schema":
            return self._checked(schema, where)
        return schema if isinstance(schema, dict) else None

    def _checked(self, schema: Any, where: str) -> dict[str, Any] | None:
        with needs_extra("schemas", "a dotprompt file with an output schema needs"):
            from jsonschema import Draft202012Validator
            from jsonschema.exceptions import SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            self.left_out.append(f"{where}: it is not a JSON Schema ({error.message[:80]})")
            return None
        return dict(schema) if isinstance(schema, Mapping) else {}

    def _tools(self, names: Any, definitions: Any) -> list[dict[str, Any]]:
        tools: list[dict[str, Any]] = []
        for tool in definitions if isinstance(definitions, list) else []:
            if not isinstance(tool, Mapping) or not tool.get("name"):
                raise UserError(f"'toolDefs' of {self._file} are mappings with a 'name'")
            function = {"name": tool["name"], "description": tool.get("description"), "parameters": tool.get("inputSchema")}
            tools.append({"type": "function", "function": {key: value for key, value in function.items() if value is not None}})
        if names is not None and not isinstance(names, list):
            raise UserError(f"'tools' of {self._file} is not a list, but {names!r:.60}")
        for tool in names or []:
            if isinstance(tool, Mapping):
                tools.append(dict(tool))
                continue
            tools.append({"type": "function", "function": {"name": str(tool)}})
            self.notes.append(f"tool {str(tool)!r} is known by name only, because a program defines it")
        return tools

    def _mapping(self, value: Any, what: str) -> dict[str, Any]:
        if value is not None and not isinstance(value, dict):
            raise UserError(f"{what!r} of {self._file} is not a mapping, but {value!r:.60}")
        return value or {}
