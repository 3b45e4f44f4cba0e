"""An agent without a framework, three ways in: adopted, by name, as a target. `python -m examples.bare_client`"""

from __future__ import annotations

from openai import OpenAI

import prompt_registry_plugin as pr
from examples.simulated import CHATTY, INSTRUCTIONS, ROWS, a_model, only


def main() -> None:
    """Runs the three ways, one after the other."""
    with a_model() as name, OpenAI() as client:
        # The agent: a function that calls the client.
        def clerk(input: str, instructions: str = CHATTY) -> str:
            messages = [{"role": "system", "content": instructions}, {"role": "user", "content": input}]
            return client.chat.completions.create(model=name, messages=messages).choices[0].message.content or ""

        # 1. Adopted, untouched.
        pr.enable("openai")  # or "anthropic", "google_genai"
        with pr.record() as trace:
            print("hard-coded:", clerk("my card was stolen"))
        adopted = only(pr.adopt(trace))  # named after its place in the source
        version = pr.register_prompt(adopted.name, INSTRUCTIONS, commit_message="the label only")
        pr.set_prompt_alias(adopted.name, "production", version.version)
        print("version 2: ", clerk("my card was stolen"))

        # 2. By name: a URI in the place of the text.
        print("by name:   ", clerk("my card was stolen", f"prompts:/{adopted.name}@production"))

        # 3. As a target.
        for template in (CHATTY, INSTRUCTIONS):
            result = pr.evaluate(predict_fn=clerk, data=ROWS, scorers=["exact_match"], prompts={adopted.name: template})
            print("score:     ", result.score)


if __name__ == "__main__":
    main()
