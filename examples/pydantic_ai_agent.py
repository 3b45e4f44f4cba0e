"""Pydantic AI, three ways in: adopted, by name, as a target. `python -m examples.pydantic_ai_agent`"""

from __future__ import annotations

from prompt_registry_adapters.pydantic_ai import registry_instructions
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

import prompt_registry_plugin as pr
from examples.simulated import CHATTY, INSTRUCTIONS, ROWS, a_model, only


def main() -> None:
    """Runs the three ways, one after the other."""
    with a_model() as name:
        model = OpenAIChatModel(name)
        agent, question = Agent(model, name="clerk", instructions=CHATTY), "my card was stolen"

        # 1. Adopted, untouched.
        pr.enable("pydantic_ai")
        with pr.record() as trace:
            print("hard-coded:", agent.run_sync(question).output)
        adopted = only(pr.adopt(trace))  # named after its place in the source
        version = pr.register_prompt(adopted.name, INSTRUCTIONS, commit_message="the label only")
        pr.set_prompt_alias(adopted.name, "production", version.version)
        print("version 2: ", agent.run_sync(question).output)

        # 2. By name: a function, or a URI in the place of the text.
        by_name = Agent(model, instructions=registry_instructions(f"prompts:/{adopted.name}@production"))
        print("by name:   ", by_name.run_sync(question).output)

        # 3. As a target.
        for template in (CHATTY, INSTRUCTIONS):
            result = pr.evaluate(predict_fn=agent, data=ROWS, scorers=["exact_match"], prompts={adopted.name: template})
            print("score:     ", result.score)


if __name__ == "__main__":
    main()
