"""Backups, and a registry whose file is deleted, moved or replaced while it is open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import cli
from prompt_registry_plugin.frameworks.autoload import LINE


@pytest.mark.parametrize("way", ["deleted", "moved", "replaced", "folder removed"])
def test_nothing_is_written_into_a_file_that_is_gone(registry: pr.PromptRegistry, tmp_path: Path, way: str) -> None:
    """Before every write, device and inode of the path are compared with the open file."""
    folder = tmp_path / "sub"
    folder.mkdir()
    other = pr.PromptRegistry(f"sqlite:///{folder / 'p.db'}")
    other.register_prompt("p", "one")
    path = folder / "p.db"
    if way == "deleted":
        path.unlink()
    elif way == "moved":
        path.rename(folder / "elsewhere.db")
    elif way == "replaced":
        shutil.copy(path, folder / "copy.db")
        (folder / "copy.db").replace(path)
    else:
        shutil.rmtree(folder)
    with pytest.raises(pr.errors.StoreUnavailable, match="replaced" if way == "replaced" else "deleted or moved"):
        other.register_prompt("p", "two")
    other.close()


def test_a_backup_is_taken_and_put_back_under_an_open_registry(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """While it is open and after uncommitted log pages; the open registry then reads and writes what was restored."""
    pr.register_prompt("p", "one")
    saved = tmp_path / "saved.db"
    run = CliRunner()
    assert run.invoke(cli, ["backup", str(saved)]).exit_code == 0
    assert isinstance(run.invoke(cli, ["backup", str(saved)]).exception, pr.UserError)
    pr.register_prompt("p", "two")
    pr.register_prompt("q", "later")
    assert isinstance(run.invoke(cli, ["restore", str(saved)]).exception, pr.UserError)
    assert pr.load_prompt("p").version == 2
    assert run.invoke(cli, ["restore", str(saved), "--yes"]).exit_code == 0
    assert pr.load_prompt("p").template == "one"
    with pytest.raises(pr.errors.PromptNotFound):
        pr.load_prompt("q")
    assert pr.register_prompt("p", "three").version == 2


def test_what_is_no_backup_is_refused(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """And the registry stays as it is."""
    pr.register_prompt("p", "one")
    (tmp_path / "text.db").write_text("no database " * 100)
    for name in ("text.db", "none.db"):
        done = CliRunner().invoke(cli, ["restore", str(tmp_path / name), "--yes"])
        assert isinstance(done.exception, pr.UserError)
    assert pr.load_prompt("p").template == "one"


@pytest.mark.process
@pytest.mark.parametrize("value", ["0", "false", "none", " 0 ", ""])
def test_switched_off_it_imports_nothing(value: str) -> None:
    """The line that Python runs when it starts."""
    code = f"{LINE}\nimport sys\nprint([name for name in sys.modules if name.startswith('prompt_registry')])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PROMPT_REGISTRY_ENABLE": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
