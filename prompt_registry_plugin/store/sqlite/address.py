"""Reading a `sqlite:///` registry URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote

from prompt_registry_plugin.errors import InvalidStore


def parse_url(url: str) -> tuple[Path, bool]:
    """Return the file that a registry URL names, and whether to open it read-only. Raises `InvalidStore`."""
    body, _, query = url.removeprefix("sqlite:///").partition("?")
    if not url.startswith("sqlite:///") or not body:
        raise InvalidStore(f"cannot read registry URL {url!r}: write sqlite:///relative/file.db or sqlite:////absolute/file.db")
    mode = parse_qs(query).get("mode", ["rwc"])
    if mode not in (["rwc"], ["ro"]):
        raise InvalidStore(f"registry URL {url!r}: mode is 'ro' or left away, not {mode[0]!r}")
    return Path(unquote(body)).expanduser(), mode == ["ro"]


def check_folder(path: Path, url: str) -> None:
    """Raise `InvalidStore` unless `path` can be a file in a folder that exists."""
    try:
        if path.is_dir():
            raise InvalidStore(f"registry URL {url!r} names a folder; name a file in it")
        if not path.parent.is_dir():
            raise InvalidStore(f"registry URL {url!r}: there is no folder {path.parent}; create it first")
        path.exists()
    except OSError as error:
        raise InvalidStore(f"registry URL {url!r}: {error.strerror}") from error
