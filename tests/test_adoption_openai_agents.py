"""OpenAI Agents: each way to build a prompt, recorded and adopted in one process, and served in another one with other input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr

from .conftest import run_python
from .model_server import ModelServer, model_server

pytest.importorskip("agents")

PROMPTS = '''
RULES = "Stay polite in every answer, and never promise a refund to anybody."
CLERK = """You are the clerk of {bank}. Answer {user} in at most three sentences."""
SUMMARY = "Summarize the following complaint in one sentence: {text}"
'''

AGENTS = '''
import os
from dataclasses import dataclass

from agents import Agent, GuardrailFunctionOutput, ModelSettings, OpenAIResponsesModel, RunConfig, RunContextWrapper, Runner
from agents import function_tool, handoff, input_guardrail
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

from bank import prompts

MODEL = OpenAIResponsesModel("simulated", AsyncOpenAI(base_url=os.environ["MODEL_URL"], api_key="none"))


@dataclass
class Customer:
    name: str
    day: str


class Verdict(BaseModel):
    """The decision about a complaint."""

    risk: int = Field(description="The risk of losing the customer, from one to ten.")


def who(context: RunContextWrapper[Customer], agent: Agent[Customer]) -> str:
    return f"You are talking with {context.context.name} on the date {context.context.day}."


async def more(context: RunContextWrapper[Customer], agent: Agent[Customer]) -> str:
    return prompts.RULES + f" Address the customer as {context.context.name} once."


@function_tool
def lookup(account: str) -> str:
    """Look up the balance of an account.

    Args:
        account: The number of the account, with no spaces.
    """
    return "100"


literal = Agent(name="literal", instructions="You answer questions about opening hours of the bank.", model=MODEL)
named = Agent(name="named", instructions="prompts:/greeting@production", model=MODEL)
sync = Agent(name="sync", instructions=who, model=MODEL)
later = Agent(name="later", instructions=more, model=MODEL)
plain = Agent(name="plain", model=MODEL)
judge = Agent(name="judge", instructions="You decide about complaints in numbers only.", output_type=Verdict, model=MODEL)
expert = Agent(
    name="expert", instructions="You are the expert for mortgages.", handoff_description="Knows all about mortgages.", model=MODEL
)
translator = Agent(name="translator", instructions="You translate letters of customers.", model=MODEL)
front = Agent(
    name="front",
    instructions="You are the front desk of the bank and ask others.",
    tools=[lookup, translator.as_tool("translate", "Translate a letter into English.")],
    handoffs=[handoff(expert, tool_description_override="Hand over to the expert for mortgages.")],
    model=MODEL,
)
checker = Agent(name="checker", instructions="You check whether a question is about banking.", model=MODEL)


@input_guardrail(run_in_parallel=False)
async def check(context, agent, given):
    result = await Runner.run(checker, f"Is this question about banking? {given}", context=context.context)
    return GuardrailFunctionOutput(output_info=result.final_output, tripwire_triggered=False)


guarded = Agent(name="guarded", instructions="You answer guarded questions of the bank.", input_guardrails=[check], model=MODEL)


def run_all(name: str, day: str, text: str) -> None:
    clerk = Agent(name="clerk", instructions=prompts.CLERK.format(bank="ACME", user=name), model=MODEL)
    customer = Customer(name, day)
    for agent in (clerk, literal, named, sync, later, judge, front, guarded):
        Runner.run_sync(agent, text, context=customer)
    Runner.run_sync(plain, prompts.SUMMARY.format(text=text))
    image = {"type": "input_image", "image_url": "http://127.0.0.1/a.png", "detail": "auto"}
    parts = [{"type": "input_text", "text": f"Describe the picture that {name} has sent to us."}, image]
    notes = f"The customer who writes today, {name}, has been with us for years."
    Runner.run_sync(plain, [{"role": "developer", "content": notes}, {"role": "user", "content": parts}])
'''

MAIN = """
import json, sys
import prompt_registry_plugin as pr
import bank.agents
ENABLE
bank.agents.run_all(*sys.argv[1:4])
FINISH
"""

ADOPTED = {
    "bank/prompts.CLERK": "You are the clerk of {{bank}}. Answer {{user}} in at most three sentences.",
    "bank/agents.literal.instructions": "You answer questions about opening hours of the bank.",
    "bank/agents.who": "You are talking with {{name}} on the date {{day}}.",
    "bank/agents.more": (
        "Stay polite in every answer, and never promise a refund to anybody. Address the customer as {{name}} once."
    ),
    "bank/agents.judge.instructions": "You decide about complaints in numbers only.",
    "judge/output": "The decision about a complaint.",
    "judge/output.risk": "The risk of losing the customer, from one to ten.",
    "bank/agents.front.instructions": "You are the front desk of the bank and ask others.",
    "front/tools/lookup": "Look up the balance of an account.",
    "front/tools/lookup.account": "The number of the account, with no spaces.",
    "front/tools/translate": "Translate a letter into English.",
    "front/handoffs/transfer_to_expert": "Hand over to the expert for mortgages.",
    "bank/agents.translator.instructions": "You translate letters of customers.",
    "bank/agents.expert.instructions": "You are the expert for mortgages.",
    "bank/agents.checker.instructions": "You check whether a question is about banking.",
    "bank/agents.check": "Is this question about banking? {{given}}",
    "bank/agents.guarded.instructions": "You answer guarded questions of the bank.",
    "bank/prompts.SUMMARY": "Summarize the following complaint in one sentence: {{text}}",
    "bank/agents.run_all.notes": "The customer who writes today, {{name}}, has been with us for years.",
    "bank/agents.run_all": "Describe the picture that {{name}} has sent to us.",
}

NOTHING = ("", "")
RECORD = (
    "pr.enable('openai_agents', descriptions=True)\nrecording = pr.record('bank')\ntrace = recording.__enter__()",
    "recording.__exit__(None, None, None)\nadopted = pr.adopt(trace, descriptions=True)\n"
    "print(json.dumps({'names': {v.name: v.template for v in adopted}, 'table': str(adopted)}))",
)
SERVE = ("pr.enable('openai_agents')", "")

ANN = ("Ann Smith", "2026-11-25", "My card was blocked for two days.")
BOB = ("Bob Jones", "2027-03-02", "The queue in the branch was far too long.")


def run_program(
    folder: Path, server: ModelServer, mode: tuple[str, str], who: tuple[str, str, str]
) -> tuple[str, str, list[Any]]:
    """Run the program in a process; return what it printed, what it logged, and the bodies of its requests."""
    (folder / "main.py").write_text(MAIN.replace("ENABLE", mode[0]).replace("FINISH", mode[1]))
    start = f"import runpy, sys; sys.path.insert(0, '.'); sys.argv = {['main.py', *who]!r}; runpy.run_path('main.py')"
    environment = {"PROMPT_REGISTRY_URL": "sqlite:///prompts.db", "MODEL_URL": server.url, "OPENAI_AGENTS_DISABLE_TRACING": ""}
    done = run_python(start, cwd=folder, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.replace("OPENAI_API_KEY is not set, skipping trace export\n", ""), server.take_bodies()


def promote(registry: pr.PromptRegistry, name: str, template: str) -> None:
    """Register a version of a prompt and serve it."""
    registry.set_prompt_alias(name, "production", registry.register_prompt(name, template).version)


@pytest.mark.process
@pytest.mark.server
def test_every_build_style_is_served_in_another_process(tmp_path: Path) -> None:
    """With other input; nothing of a request changes but the texts of the version."""
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "__init__.py").touch()
    (tmp_path / "bank" / "prompts.py").write_text(PROMPTS)
    (tmp_path / "bank" / "agents.py").write_text(AGENTS)
    with model_server() as server, pr.open_registry(f"sqlite:///{tmp_path}/prompts.db") as registry:
        promote(registry, "greeting", "Greet the customer first.")
        _, _, bare = run_program(tmp_path, server, NOTHING, ANN)
        printed, _, recorded = run_program(tmp_path, server, RECORD, ANN)
        found = json.loads(printed)
        assert found["names"] == ADOPTED, found["table"]
        assert json.dumps(recorded) == json.dumps(bare).replace("prompts:/greeting@production", "Greet the customer first.")
        _, _, first = run_program(tmp_path, server, SERVE, BOB)
        for name, template in ADOPTED.items():
            promote(registry, name, f"{template} [{name}]")
        _, logged, second = run_program(tmp_path, server, SERVE, BOB)
        assert not logged
        sent = json.dumps(second)
        assert [name for name in ADOPTED if f" [{name}]" not in sent] == []
        for name in ADOPTED:
            sent = sent.replace(f" [{name}]", "")
        assert sent == json.dumps(first)
        assert ANN[0] not in sent
        assert ANN[1] not in sent
