"""Where a prompt's file is in a folder, so that one folder means the same on every file system.

A name is its path, with `.prompt` at the end: `banking/route` is `banking/route.prompt`. Some systems take `A` and `a` for one file, keep
`aux` and `con` for devices, and drop a dot at the end; and no prompts are looked for in `node_modules` and the like. Where two names would
be one file, or a name would be none, a letter of a name is written as its code, which no name can hold: `%61ux.prompt` is the prompt `aux`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidName, StoreUnavailable, UserError
from prompt_registry_plugin.records import digest
from prompt_registry_plugin.transfer.formats.prompt_file import SUFFIX

_IGNORED = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "env", "vendor", "dist", "build"})
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_CODE = re.compile(r"%([0-9a-f]{2})")


class PromptPaths:
    """The file of each prompt in a folder: where it is, or where it would be written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = find_files(folder)
        self._by_name = dict(self.found)
        self._taken: dict[str, str] = {}  # path, as a system without case sees it -> path
        for path in self.found.values():
            self._take(path.relative_to(folder).as_posix())

    def path(self, name: str) -> Path:
        """Return the file of a prompt. Raises `UserError` if it would be outside the folder."""
        if name not in self._by_name:
            self._by_name[name] = self.folder / self._place(name)
        path = self._by_name[name]
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise UserError(f"prompt {name!r} would be a file outside {self.folder}")
        return path

    def is_plain(self, name: str) -> bool:
        """Return whether the path of a prompt is its name."""
        return self.path(name) == self.folder / f"{name}{SUFFIX}"

    def _place(self, name: str) -> str:
        place = ""
        *folders, last = name.split("/")
        for part, end in [*((folder, "") for folder in folders), (last, SUFFIX)]:
            prefix = f"{place}/" if place else ""
            choices = (f"{prefix}{spelled}{end}" for spelled in _spellings(part))
            place = next(choice for choice in choices if self._taken.get(choice.lower(), choice) == choice)
        self._take(place)
        return place

    def _take(self, place: str) -> None:
        parts = place.split("/")
        for end in range(1, len(parts) + 1):
            prefix = "/".join(parts[:end])
            self._taken.setdefault(prefix.lower(), prefix)


def _spellings(part: str) -> Iterable[str]:
    """Yield the ways to write a part of a name as a file's name, plainest first. The last one is the only one of its name."""
    if not _DEVICE.fullmatch(part) and not part.endswith(".") and part not in _IGNORED:
        yield part
        yield re.sub("[A-Z]", _to_code, part)
    ending = f"{part[:-1]}%2e" if part.endswith(".") else part
    yield _to_code(ending[0]) + ending[1:]
    yield "".join(_to_code(letter) for letter in part)


def _to_code(letter: str | re.Match[str]) -> str:
    return f"%{ord(letter if isinstance(letter, str) else letter[0]):02x}"


def find_files(folder: Path) -> dict[str, Path]:
    """Return the prompt files in a folder by the names of their prompts. Raises `UserError` for one that cannot be a prompt."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder")
    found: dict[str, Path] = {}
    for path in _prompt_files(folder):
        name = _CODE.sub(lambda code: chr(int(code[1], 16)), path.relative_to(folder).as_posix().removesuffix(SUFFIX))
        try:
            uri.check_name(name)
        except InvalidName as error:
            raise UserError(f"{path} cannot be a prompt: {error}") from error
        if name in found:
            raise UserError(f"{found[name]} and {path} are both prompt {name!r}; remove one of them")
        found[name] = path
    return found


def _prompt_files(folder: Path) -> list[Path]:
    """Return the prompt files in a folder, except those in folders of packages and tools, and in hidden ones."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _IGNORED and not name.startswith(".")]
        found += [Path(place) / name for name in files if name.endswith(SUFFIX) and not name.startswith(".")]
    return sorted(found)


def read_file(path: Path) -> str:
    """Return a file's text. Raises `UserError`."""
    try:
        # Line ends as git may have made them on another system; texts that hold \r themselves stand in the front matter.
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def write_file(path: Path, text: str) -> None:
    """Replace a file whole: whoever reads it meanwhile sees the old one or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
            new.write(text.encode())
        Path(new.name).chmod(0o644)
        os.replace(new.name, path)
    except OSError as error:
        raise StoreUnavailable(f"cannot write {path}: {error}") from error


def mark_of(path: Path) -> str | None:
    """Return what tells whether a file is still what it was, to the letter; None if there is no file."""
    return digest(read_file(path)) if path.exists() else None


def check_markers(path: Path) -> None:
    """Raise `UserError` for a file that git left with the two sides of a merge in it."""
    lines = read_file(path).splitlines()
    begins = [number for number, line in enumerate(lines, 1) if line.startswith("<<<<<<< ")]
    if begins and any(line.startswith(">>>>>>> ") for line in lines):
        raise UserError(f"{path}:{begins[0]} has merge conflict markers. Resolve the conflict before you push.")
