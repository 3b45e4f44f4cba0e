"""Google ADK, three ways in: adopted, by name, as a target. `python -m examples.google_adk_agent`"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import InMemoryRunner
from google.genai import types

import prompt_registry_plugin as pr
from examples.simulated import CHATTY, INSTRUCTIONS, ROWS, new_registry, only
from prompt_registry_plugin.models.resolve import resolve_model


class Simulated(BaseLlm):
    """The simulated model as ADK wants one. Give your agent `model="gemini-…"` instead."""

    model: str = "offline-task"

    async def generate_content_async(self, llm_request: Any, stream: bool = False) -> AsyncIterator[LlmResponse]:
        """Yield one answer."""
        asked = "".join(part.text or "" for part in llm_request.contents[-1].parts)
        messages = [{"role": "system", "content": str(llm_request.config.system_instruction)}, {"role": "user", "content": asked}]
        reply = await resolve_model("offline:task")(messages)
        yield LlmResponse(content=types.Content(role="model", parts=[types.Part(text=reply.text)]))


async def ask(agent: LlmAgent, question: str) -> str:
    """Run an agent in a session whose state names the bank."""
    runner = InMemoryRunner(agent=agent, app_name="bank")
    session = await runner.session_service.create_session(app_name="bank", user_id="you", state={"bank": "Example Bank"})
    message = types.Content(role="user", parts=[types.Part(text=question)])
    events = [event async for event in runner.run_async(user_id="you", session_id=session.id, new_message=message)]
    return "".join(part.text or "" for part in events[-1].content.parts)


def main() -> None:
    """Run the three ways, one after the other."""
    new_registry()
    print("the model is simulated: it classifies by the words of its instructions, and can do nothing else\n")
    agent, question = (
        LlmAgent(name="clerk", instruction=f"You work for {{bank?}}.\n{CHATTY}", model=Simulated()),
        "my card was stolen",
    )

    # 1. Adopted, untouched: `{bank?}` of the session's state is the variable `bank`.
    pr.enable("google_adk")
    with pr.record() as trace:
        print("hard-coded:", asyncio.run(ask(agent, question)))
    adopted = only(pr.adopt(trace))  # clerk/instruction
    version = pr.register_prompt(adopted.name, f"You work for {{{{bank}}}}.\n{INSTRUCTIONS}", commit_message="the label only")
    pr.set_prompt_alias(adopted.name, "production", version.version)
    print("version 2: ", asyncio.run(ask(agent, question)))

    # 2. By name: an address in the place of the text.
    by_name = LlmAgent(name="other", instruction=f"prompts:/{adopted.name}@production", model=Simulated())
    print("by name:   ", asyncio.run(ask(by_name, question)))

    # 3. As a target. A row's other values are the session's state.
    for template in (adopted.template, version.template):
        result = pr.evaluate(predict_fn=agent, data=ROWS, scorers=["exact_match"], prompts={adopted.name: template})
        print("score:     ", result.score)


if __name__ == "__main__":
    main()
