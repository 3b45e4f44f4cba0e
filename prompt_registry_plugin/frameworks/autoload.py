"""The start-up file of an environment, which makes Python look at `PROMPT_REGISTRY_ENABLE` when it starts.

Python runs each line of a `.pth` file in its packages' folder that begins with `import`. The file is written on request and is no part
of the package, so nobody who does not use it pays for it.
"""

from __future__ import annotations

import site
import sysconfig
from pathlib import Path

from prompt_registry_plugin.errors import UserError

FILE = "prompt_registry_enable.pth"
LINE = (
    'import os; os.environ.get("PROMPT_REGISTRY_ENABLE", "").strip().lower() not in ("", "0", "false", "none") and '
    'exec("try:\\n from prompt_registry_plugin.frameworks.lazy import from_environment\\nexcept ImportError: pass\\n'
    'else: from_environment()")\n'
)
"""Without the variable, it imports nothing; after the package was removed, it does nothing."""


def install() -> Path:
    """Write the file into this environment and return its path. Raises `UserError` where nothing can be written."""
    for folder in _folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).write_text(LINE, encoding="utf-8")
        except OSError:
            continue
        return folder / FILE
    tried = " or ".join(map(str, _folders()))
    raise UserError(
        f"nothing can be written to {tried}; run it in an environment of your own, or call pr.enable() in the program"
    )


def remove() -> list[Path]:
    """Delete the file wherever it is in this environment, and return where it was. Raises `UserError` if it cannot be deleted."""
    found = find()
    for path in found:
        try:
            path.unlink()
        except OSError as error:
            raise UserError(f"cannot delete {path}: {error.strerror}") from None
    return found


def find() -> list[Path]:
    """Return the paths of the file in this environment."""
    return [folder / FILE for folder in _folders() if (folder / FILE).is_file()]


def _folders() -> list[Path]:
    """Return the folders in which Python reads such files: that of the environment, then that of the user if it is in use."""
    folders = [Path(sysconfig.get_path("purelib"))]
    if site.ENABLE_USER_SITE:
        folders.append(Path(site.getusersitepackages()))
    return folders
