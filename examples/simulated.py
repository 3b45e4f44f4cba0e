"""The model that the examples talk to: a real one where OPENAI_API_KEY is set, else the simulated one, over HTTP all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import prompt_registry_plugin as pr


@contextmanager
def a_model() -> Iterator[str]:
    """The name of a model that the official OpenAI client reaches while the block lasts, and a new registry, unless one is named."""
    new_registry()
    if os.environ.get("OPENAI_API_KEY"):
        yield os.environ.get("OPENAI_MODEL", "gpt-4o-mini")
        return
    print("the model is simulated: it classifies by the words of its instructions, and can do nothing else\n")
    with simulated_models():
        yield "offline-task"


def new_registry() -> None:
    """Use a registry in a folder of its own, unless one is named, so that an example can be run again."""
    if "PROMPT_REGISTRY_URL" not in os.environ:
        os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{tempfile.mkdtemp()}/prompts.db"
        print(f"the registry is {os.environ['PROMPT_REGISTRY_URL']}")


def only(adopted: Sequence[pr.PromptVersion]) -> pr.PromptVersion:
    """The one prompt that was adopted. In a registry that has it already, there is none: the example was run in it before."""
    if not adopted:
        raise SystemExit("this registry has the prompt already; set PROMPT_REGISTRY_URL to another one, or to none")
    return adopted[0]


@contextmanager
def simulated_models() -> Iterator[None]:
    """Points OpenAI's client at the simulated models, behind a real server on loopback: they answer to any name."""
    command = [sys.executable, "-m", "prompt_registry_plugin", "offline-model", "--port", "0", "--json"]
    before = {name: os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        os.environ["OPENAI_BASE_URL"] = json.loads(server.stdout.readline())["url"]
        os.environ["OPENAI_API_KEY"] = "simulated"
        try:
            yield
        finally:
            server.terminate()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


LABELS = """
- card_lost: the card is lost or stolen
- transfer: a transfer of money that did not arrive
- fees: fees and charges"""
INSTRUCTIONS = f"Classify the customer's message. Answer with the label only.\n{LABELS}"
CHATTY = f"What is this message about?\n{LABELS}"
ROWS = [
    {"inputs": {"input": "my card was stolen"}, "expectations": {"expected_response": "card_lost"}},
    {"inputs": {"input": "my transfer of money did not arrive"}, "expectations": {"expected_response": "transfer"}},
    {"inputs": {"input": "what are these fees and charges for"}, "expectations": {"expected_response": "fees"}},
]
