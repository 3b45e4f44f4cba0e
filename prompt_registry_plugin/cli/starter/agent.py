"""An agent that names the team which has to answer a customer's message: python agent.py "Where is my parcel?"."""

import sys

import prompt_registry_plugin as pr

# The simulated model needs no key. For a real one, write "openai:gpt-…" and set OPENAI_API_KEY.
agent = pr.PromptAgent("prompts:/team@production", model="offline:task")


@pr.scorer
def right_team(outputs: str, expectations: dict[str, str]) -> pr.Feedback:
    """1 for the right team, else 0, with the reason, from which the optimizer learns."""
    wanted = expectations["team"]
    reason = f"the team should be {wanted!r}, but the answer was {outputs!r}"
    return pr.Feedback(float(outputs.strip() == wanted), [pr.Item(reason, outputs.strip() == wanted, key=wanted)])


if __name__ == "__main__":
    print(agent.predict({"message": " ".join(sys.argv[1:]) or "Where is my parcel?"}))
