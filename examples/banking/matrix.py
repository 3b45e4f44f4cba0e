"""Three versions of a prompt with two models on 200 customers' messages, side by side; then a gate that a regression fails.

    python -m examples.banking.matrix [--html matrix.html]

The models are simulated (two seeds of one simulation): what the table shows is how to read it, not how models differ.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

import prompt_registry_plugin as pr

DATA = Path(__file__).parent / "data" / "test.jsonl"
MODELS = ("offline:task", "offline:task?seed=7")
INTENTS = "card_arrival, card_not_working, lost_or_stolen_card, pending_transfer, transfer_timing, top_up_failed, top_up_limits"
VERSIONS = {
    "asks": f"What is this bank customer's message about: {INTENTS}?",
    "asks for the label only": f"What is this bank customer's message about: {INTENTS}? Answer with the intent only.",
    "describes the intents": f"""Name the intent of this bank customer's message: {INTENTS}. Answer with the intent only.
- card_arrival: where is my new card, it has not come in the post yet
- card_not_working: the card is broken, does not work or is not accepted
- lost_or_stolen_card: the card was lost, taken or stolen
- pending_transfer: the transfer is pending, it still has not gone through
- transfer_timing: how long does a transfer take until it is there
- top_up_failed: the top up was declined, did not work or failed
- top_up_limits: how much can be topped up, the maximum amount""",
}


def answer(message: str, model: str) -> str:
    """What a model answers to the prompt that is evaluated."""
    return pr.PromptAgent("prompts:/intent", model).predict({"message": message})


def main() -> None:
    """Registers the versions, compares them, and asks the gate about the last and about a worse one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--html", type=Path, help="write a page with every row")
    arguments = parser.parse_args()
    console = Console(width=170)
    rows = [
        {"inputs": row["inputs"], "expectations": {"expected_response": row["expectations"]["intent"]}}
        for row in map(json.loads, DATA.read_text().splitlines())
        if row["expectations"]["intent"] in INTENTS
    ][:200]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{folder}/prompts.db"
        for message, text in VERSIONS.items():
            template = [{"role": "system", "content": text}, {"role": "user", "content": "{{message}}"}]
            pr.register_prompt("intent", template, commit_message=message)
        pr.register_dataset("banking77", rows)
        uris = [f"prompts:/intent/{number}" for number in (1, 2, 3)]
        found = pr.compare(predict_fn=answer, data="datasets:/banking77", scorers=["exact_match"], prompts=uris, models=MODELS)
        for rows_of in ([found.columns, *found.rows()], found.matrix()):
            table = Table(*rows_of[0])
            for row in rows_of[1:]:
                table.add_row(*row)
            console.print(table)
        console.print(found.note)
        if arguments.html:
            arguments.html.write_text(found.to_html(), encoding="utf-8")
        for baseline, candidate in (("2", "3"), ("3", "2")):
            pair = pr.compare(
                predict_fn=answer,
                data="datasets:/banking77",
                scorers=["exact_match"],
                prompts=[f"prompts:/intent/{baseline}", f"prompts:/intent/{candidate}"],
                models=MODELS[:1],
            )
            reasons = pair.failures_of("exact_match >= 0.6 and no regression")
            console.print(f"version {candidate} in place of {baseline}: {'; '.join(reasons) or 'passes the gate'}")
        pr.current_registry().close()


if __name__ == "__main__":
    main()
