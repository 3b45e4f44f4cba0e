"""OpenAI Agents, three ways in: adopted, by name, as a target. `python -m examples.openai_agents_agent`"""

from __future__ import annotations

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_trace_processors
from openai import AsyncOpenAI
from prompt_registry_adapters.openai_agents import registry_instructions

import prompt_registry_plugin as pr
from examples.simulated import CHATTY, INSTRUCTIONS, ROWS, a_model, only


def main() -> None:
    """Runs the three ways, one after the other."""
    set_trace_processors([])  # else the SDK sends its traces to its vendor
    with a_model() as name:
        model = OpenAIChatCompletionsModel(name, AsyncOpenAI())
        agent, question = Agent(name="clerk", instructions=CHATTY, model=model), "my card was stolen"

        # 1. Adopted, untouched.
        pr.enable("openai_agents")
        with pr.record() as trace:
            print("hard-coded:", Runner.run_sync(agent, question).final_output)
        adopted = only(pr.adopt(trace))  # named after its place in the source
        version = pr.register_prompt(adopted.name, INSTRUCTIONS, commit_message="the label only")
        pr.set_prompt_alias(adopted.name, "production", version.version)
        print("version 2: ", Runner.run_sync(agent, question).final_output)

        # 2. By name: a function, or a URI in the place of the text.
        by_name = Agent(name="other", instructions=registry_instructions(f"prompts:/{adopted.name}@production"), model=model)
        print("by name:   ", Runner.run_sync(by_name, question).final_output)

        # 3. As a target.
        for template in (CHATTY, INSTRUCTIONS):
            result = pr.evaluate(predict_fn=agent, data=ROWS, scorers=["exact_match"], prompts={adopted.name: template})
            print("score:     ", result.score)


if __name__ == "__main__":
    main()
