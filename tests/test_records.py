"""The public records say what each of their fields holds."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "prompt_registry_plugin"
FILES = sorted([*(PACKAGE / "records").glob("*.py"), *(PACKAGE / "protocols").glob("*.py")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_field_is_documented(path: Path) -> None:
    """By a docstring below it, which editors and documentation generators show."""
    for record in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)):
        for field, following in zip(record.body, [*record.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                assert documented, f"{record.name}.{field.target.id} in {path.relative_to(ROOT)}"
