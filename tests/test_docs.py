"""The README's code runs as it stands."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import prompt_registry_plugin as pr
from tests.conftest import ROOT


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def test_the_readme_runs(openai_environment: str, tmp_path: Path) -> None:
    """Adoption in five lines, prompts by name, and improving together; only the names of model and files are filled in."""
    from examples.banking import agent

    adoption, by_name, together = python_blocks()
    scope: dict[str, Any] = {"graph": importlib.reload(agent).graph}
    exec(adoption, scope)
    assert [prompt.name for prompt in pr.search_prompts("alias = 'production'")] == ["banking/classify", "banking/route"]
    exec(by_name, scope)
    assert scope["prompt"].format(name="Ann") == "You help Ann."
    data = ROOT / "examples" / "banking" / "data"
    (tmp_path / "train.jsonl").write_text((data / "train.jsonl").read_text())
    (tmp_path / "test.jsonl").write_text("".join((data / "test.jsonl").read_text().splitlines(keepends=True)[:40]))
    together = together.replace("banking.agent:graph", "examples.banking.agent:graph").replace("openai:gpt-…", "openai:reflect")
    exec(together.replace("budget=500", "budget=60"), scope)
    assert scope["result"].rollouts <= 60


def test_links_and_pictures_exist() -> None:
    """Every relative link of the pages leads somewhere."""
    for page in (ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
