"""Runs the Python blocks of documents that were written for MLflow, unedited but for the import, and says of each whether it works.

    python -m examples.documents GUIDE.md NOTEBOOK.txt …

Each document has a registry of its own and a folder of its own; models are simulated, by a real server on loopback that speaks OpenAI's
protocol. What a document leaves open (a name that it never defines, a prompt that it loads and never registers) is stood in for and
listed. A call that is written `f(...)` has its arguments left out; it is skipped, and said.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Optional

import openai
import pydantic
from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr
from examples.simulated import simulated_models
from prompt_registry_plugin import mlflow
from prompt_registry_plugin.config import models as config
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.registry.functions import examples_of
from prompt_registry_plugin.registry.tracked_runs import tracked_run

SHIM = "prompt_registry_plugin.mlflow"
_MISSING = re.compile(
    r"no prompt '(?P<name>[^']+)'|prompt '(?P<of>[^']+)' in \S+ has no (?P<kind>alias|version) '?(?P<which>[\w.-]+)'?"
)
_NO_RUN = re.compile(r"no tracked run '([^']+)'")
_NO_NAME = re.compile(r"NameError: name '(\w+)' is not defined")
_NO_FILE = re.compile(r"cannot read (\S+\.ya?ml): No such file")
_YAML_MAPPING = re.compile(r"^\w[\w ]*:\s*$|^\w+:\s+\S", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced Python block and where it stands."""

    document: str
    line: int
    code: str


@dataclass(frozen=True)
class Outcome:
    """What became of a block: `ok`, `failed`, or `no program` for what is no Python program."""

    document: str
    line: int
    state: str
    why: str
    stood_in: list[str]
    seconds: float


def blocks_of(path: Path) -> Iterator[Block]:
    """The Python blocks of a document, also those that are indented."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start: int | None = None
    for number, line in enumerate(lines, 1):
        if start is None and line.strip() == "```python":
            start = number
        elif start is not None and line.strip() == "```":
            yield Block(path.name, start + 1, textwrap.dedent("\n".join(lines[start : number - 1])))
            start = None


def with_our_import(code: str) -> str:
    """The code with `mlflow` imported from here; notebook magics (`%pip …`), which install what is not needed, are left out."""
    code = re.sub(r"^(\s*)import mlflow(?:\.\w+)*[ \t]*$", rf"\1import {SHIM} as mlflow", code, flags=re.M)
    code = re.sub(r"^(\s*from )mlflow((?:\.\w+)* import )", rf"\1{SHIM}\2", code, flags=re.M)
    return re.sub(r"^%.*$", "", code, flags=re.M)


class Document:
    """A document's blocks, run one after the other in one namespace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.namespace: dict[str, Any] = {"__name__": "__main__", "mlflow": mlflow}

    def run(self, block: Block) -> Outcome:
        """Runs a block; what it lacks is stood in for, and it is tried again."""
        started, stood_in = time.perf_counter(), list[str]()

        def outcome(state: str, why: str = "") -> Outcome:
            return Outcome(block.document, block.line, state, why, stood_in, time.perf_counter() - started)

        code = with_our_import(block.code)
        if not code.strip():
            return outcome("no program", "a notebook command that installs packages")
        try:
            tree = ast.parse(code)
        except SyntaxError as error:
            settings = _YAML_MAPPING.search(code) is not None and not code.lstrip().startswith(("def ", "class ", "import "))
            return outcome("no program", "YAML beside one line of Python" if settings else f"no valid Python: {error.msg}")
        if all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Name | ast.BinOp) for node in tree.body):
            return outcome("no program", "a list of packages")
        skipped = self._without_elided(tree)
        for _ in range(30):
            try:
                with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                    exec(
                        compile(tree, f"{block.document}:{block.line}", "exec"), self.namespace
                    )  # the documents are the user's own
            except NameError as error:
                if error.name not in STAND_INS:
                    return outcome("failed", f"NameError: {error}")
                self.namespace[error.name] = STAND_INS[error.name]()
                stood_in.append(error.name)
            except pr.PromptRegistryError as error:
                if (made := self._stand_in(error)) is None:
                    return outcome("failed", f"{type(error).__name__}: {error}")
                stood_in.append(made)
            except Exception as error:  # noqa: BLE001  whatever the block does is what is reported
                return outcome("failed", f"{type(error).__name__}: {error}")
            else:
                return outcome("ok", f"{', '.join(skipped)}: arguments left out in the document, skipped" if skipped else "")
        return outcome("failed", "too much is missing")

    def _stand_in(self, error: pr.PromptRegistryError) -> str | None:
        """Makes what an error says is missing; gives what it made, or None where it is no such error."""
        message = str(error)
        if isinstance(error, pr.errors.PromptNotRendered):
            with pr.record() as trace:
                self.namespace["predict_fn"]("anything")
            used = trace.prompts[0].name if trace.prompts else None
            if used is None or self.namespace["prompt"].name == used:
                return None
            self.namespace["prompt"] = pr.load_prompt(used)
            return f"prompt: {used}, which predict_fn loads"
        if (name := _NO_NAME.search(message)) and name[1] in STAND_INS:  # inside a predict_fn, or an optimizer
            self.namespace[name[1]] = STAND_INS[name[1]]()
            return name[1]
        if run := _NO_RUN.search(message):
            pr.register_prompt("tried", "Article: {{article}}\n\nQuestion: {{question}}")
            with tracked_run("tried", "tried", params={"prompt": "prompts:/tried/1", "model": "openai:gpt-5"}, run_id=run[1]):
                return f"a saved try as run {run[1]}"
        if file := _NO_FILE.search(message):
            return _configuration(Path(file[1]), self.path)
        if "does not fit" in message and "dataset" in self.namespace:
            [parameter] = inspect.signature(self.namespace["predict_fn"]).parameters
            rows = [*pr.Dataset(examples_of(self.namespace["dataset"]))]
            self.namespace["dataset"] = [
                {"inputs": {parameter: next(iter(row.inputs.values()))}, "expectations": dict(row.expectations)} for row in rows
            ]
            return f"dataset, with its inputs called {parameter!r} as in predict_fn"
        return _stand_in_prompt(message)

    def _without_elided(self, tree: ast.Module) -> list[str]:
        """Takes out assignments of calls whose arguments are left out; the name keeps what an earlier block gave it, or is None."""
        skipped: list[str] = []
        namespace = self.namespace

        class Skipping(ast.NodeTransformer):
            def visit_Assign(self, node: ast.Assign) -> ast.AST:
                match node:
                    case ast.Assign([ast.Name(name)], ast.Call(function, [ast.Constant(value)])) if value is ...:
                        namespace.setdefault(name, None)
                        skipped.append(f"{ast.unparse(function)}(...)")
                        return ast.copy_location(ast.Pass(), node)
                return node

        Skipping().visit(tree)
        return skipped


def _stand_in_prompt(message: str) -> str | None:
    """Registers what a message says is missing: a prompt, a version or an alias."""
    found = _MISSING.search(message)
    if found is None:
        return None
    name = found["name"] or found["of"]
    if found["kind"] == "alias":
        pr.set_prompt_alias(name, found["which"], pr.load_prompt(name).version)
        return f"{name}@{found['which']}"
    pr.register_prompt(name, f"Help the user. (Stands in for version {found['which'] or 1}.)", force=True)
    return f"{name}/{pr.load_prompt(name).version}"


def _configuration(file: Path, document: Path) -> str | None:
    """Writes the document's own YAML where its program looks for it, with the schema that it refers to and does not show."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", document.read_text(encoding="utf-8"), re.S | re.M)
    if not blocks or file.exists():
        return None
    file.parent.mkdir(parents=True, exist_ok=True)
    schemas = "schemas:\n  main_schema: {catalog_name: main, schema_name: default}\n"
    file.write_text(schemas + max(blocks, key=len), encoding="utf-8")
    return f"{file}, from the document's YAML, with its schema"


def _predict(**inputs: Any) -> str:
    return "BACKGROUND"


def _no_workspace() -> Any:
    class WorkspaceClient:
        """Of Databricks; only named in annotations."""

    return WorkspaceClient


class _Spark:
    """Stands in for a Spark session."""

    def createDataFrame(self, frame: Any) -> Any:  # noqa: N802  Spark's name
        return frame


STAND_INS: dict[str, Callable[[], Any]] = {
    "openai": lambda: openai,
    "client": mlflow.MlflowClient,
    "agent_config": dict,
    "quality_score_a": lambda: 0.7,
    "quality_score_b": lambda: 0.8,
    "previous_version": lambda: 1,
    "is_billing_query": lambda: False,
    "is_technical_query": lambda: True,
    "content_type": lambda: "blog",
    "language": lambda: "python",
    "name": lambda: "quick",
    "template": lambda: "Help with {{question}}.",
    "commit_message": lambda: "first",
    "tags": lambda: {"use_case": "support"},
    "alias": lambda: "production",
    "version": lambda: 1,
    "prompt_location": lambda: "main.default.new_prompt_registry",
    "agent": lambda: _predict,
    "your_llm_call": lambda: lambda text: "an answer",
    "llm_call": lambda: lambda text: "an answer",
    "your_optimization_algorithm": lambda: lambda template, data, model: f"Answer with one label only.\n{template}",
    "training_examples": lambda: [{"text": f"a text that is number {i}"} for i in range(5)],
    "spark": _Spark,
    "BaseModel": lambda: pydantic.BaseModel,
    "Optional": lambda: Optional,
    **{name: partial(getattr, config, name) for name in config.__all__},
    "WorkspaceClient": _no_workspace,
    "prompt": lambda: pr.register_prompt("stands_in", "Classify: positive, negative or neutral.\n\nText: {{text}}"),
    "predict_fn": lambda: _predict,
    "dataset": lambda: [{"inputs": {"sentence": "x"}, "expectations": {"expected_response": "BACKGROUND"}}],
}


def run_document(path: Path) -> list[Outcome]:
    """What became of every block of a document."""
    document = Document(path)
    blocks = list(blocks_of(path))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{folder}/prompts.db"
        outcomes = [document.run(block) for block in blocks]
        pr.current_registry().close()
    return outcomes


def main() -> int:
    """Exits with 1 when a block failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("documents", nargs="+", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    if missing := [path for path in arguments.documents if not path.is_file()]:
        raise UserError(f"there is no file {missing[0]}")
    with simulated_models():
        outcomes = [outcome for path in arguments.documents for outcome in run_document(path.resolve())]
    if arguments.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        table = Table("document", "line", "state", "why", "stood in", "seconds")
        for o in outcomes:
            table.add_row(o.document, str(o.line), o.state, o.why[:300], ", ".join(o.stood_in), f"{o.seconds:.1f}")
        Console(width=200).print(table)
    return int(any(outcome.state == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
