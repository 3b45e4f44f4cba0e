"""CrewAI, three ways in: adopted, by name, as a target. `python -m examples.crewai_crew`"""

from __future__ import annotations

import os

os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")  # else CrewAI tells its vendor of each run

from crewai import LLM, Agent, Crew, Task

import prompt_registry_plugin as pr
from examples.simulated import CHATTY, INSTRUCTIONS, ROWS, a_model


def make_crew(name: str, backstory: str) -> Crew:
    """A crew with one task, whose model is reached with OpenAI's client."""
    model = LLM(model=name, provider="openai", base_url=os.environ.get("OPENAI_BASE_URL"), api_key=os.environ["OPENAI_API_KEY"])
    clerk = Agent(role="clerk", goal="Label messages", backstory=backstory, llm=model)
    task = Task(name="label", description="{input}", expected_output="A label", agent=clerk)
    return Crew(agents=[clerk], tasks=[task])


def main() -> None:
    """Run the three ways, one after the other."""
    with a_model() as name:
        crew, inputs = make_crew(name, CHATTY), {"input": "my card was stolen"}

        # 1. Adopted, untouched: role, goal, backstory, description and expected output are prompts; `{input}` is a variable.
        pr.enable("crewai")
        with pr.record() as trace:
            print("hard-coded:", crew.kickoff(inputs=inputs))
        adopted = {prompt.name: prompt for prompt in pr.adopt(trace)}["clerk/backstory"]
        version = pr.register_prompt(adopted.name, INSTRUCTIONS, commit_message="the label only")
        pr.set_prompt_alias(adopted.name, "production", version.version)
        print("version 2: ", crew.kickoff(inputs=inputs))

        # 2. By name: an address in the place of the text.
        print("by name:   ", make_crew(name, f"prompts:/{adopted.name}@production").kickoff(inputs=inputs))

        # 3. As a target. A row is the inputs; each run takes a copy of the crew.
        for template in (adopted.template, version.template):
            result = pr.evaluate(predict_fn=crew, data=ROWS, scorers=["exact_match"], prompts={adopted.name: template})
            print("score:     ", result.score)


if __name__ == "__main__":
    main()
