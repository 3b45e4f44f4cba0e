"""Folders of prompt files: each file is read alone, and one that cannot be read does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.protocols import ImportedPrompt, LeftOut

_SKIPPED = {"node_modules", "__pycache__", "venv"}
MALFORMED = (UserError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What reading data of an unexpected shape raises."""

ReadFile = Callable[[Path, Path | None], ImportedPrompt]
"""Reads one file; gets its path, and the folder that is imported, or None for a single file."""


def why(error: Exception) -> str:
    """Return an error of `MALFORMED` as the reason why something was left out."""
    return str(error) if isinstance(error, UserError) else f"it has another shape than expected ({type(error).__name__}: {error})"


def each_file(path: Path, suffix: str, read: ReadFile) -> Iterator[ImportedPrompt | LeftOut]:
    """Yield what `read` returns for a file, or for each file with `suffix` in a folder; `LeftOut` for one that cannot be read.

    Hidden folders, and those of installed packages, are not searched. Raises `UserError` if there is no such file.
    """
    path = path.expanduser()
    folder = path if path.is_dir() else None
    files = find_files(path, suffix) if folder else [path]
    if not files:
        raise UserError(f"there is no {suffix} file in {path}")
    if not path.exists():
        raise UserError(f"there is no file {path}")
    for file in files:
        try:
            yield read(file, folder)
        except MALFORMED as error:
            yield LeftOut(str(file.relative_to(folder) if folder else file.name), why(error))


def find_files(folder: Path, suffix: str) -> list[Path]:
    """Return the files with `suffix` in a folder and its subfolders, without hidden folders and installed packages."""
    return [
        path
        for path in sorted(folder.rglob(f"*{suffix}"))
        if path.is_file() and not any(part in _SKIPPED or part.startswith(".") for part in path.relative_to(folder).parts[:-1])
    ]


def file_name(path: Path, folder: Path | None) -> str:
    """Return the name of a file without its suffix, with its folders below `folder`."""
    relative = path.relative_to(folder) if folder else Path(path.name)
    return relative.with_suffix("").as_posix()
