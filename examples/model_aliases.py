"""Two workflows that MLflow's users run in a Databricks workspace, on a registry file: names in three parts, an alias for each model.

    python -m examples.model_aliases

1. A notebook: a prompt is registered, improved from labelled rows for one model, then for two others, and each loads its own version by
   an alias.
2. A configuration: what a source model answered is recorded and becomes a data set; the prompt is improved for another model, and the
   file pins the version.

The models are simulated, behind one server on loopback that answers to any name: what is shown is how it works, not how models differ.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import openai

import prompt_registry_plugin.mlflow as mlflow
from examples.simulated import simulated_models
from prompt_registry_plugin import current_registry
from prompt_registry_plugin.config import AppConfig
from prompt_registry_plugin.mlflow.genai.datasets import create_dataset
from prompt_registry_plugin.mlflow.genai.optimize import GepaPromptOptimizer
from prompt_registry_plugin.mlflow.genai.scorers import scorer

LOCATION = "main.default.abstract_sections"
MODELS = {"gpt5": "gpt-5", "gemma3": "gemma-3", "gpt_oss_20b": "gpt-oss-20b"}
SENTENCES = {
    "METHODS": [
        "Patients were randomized into two groups",
        "Participants were assigned to a control group",
        "A questionnaire was used",
    ],
    "RESULTS": [
        "The score increased by nine percent",
        "Pain decreased in both arms",
        "There was an increase in weight of two percent",
    ],
    "OBJECTIVE": [
        "The aim of this trial was to compare doses",
        "We aimed to examine the effect",
        "The aim was to determine safety",
    ],
}
ROWS = [
    {
        "inputs": {"query": f"{sentence}{end}"},
        "expectations": {"expected_response": label, "expected_facts": [f"it says {label}"]},
    }
    for label, sentences in SENTENCES.items()
    for sentence in sentences
    for end in (".", " , in all centres .", " ( see below ) .")
]
CONFIG = """
schemas:
  main_schema: &main_schema {catalog_name: main, schema_name: default}
resources:
  llms:
    target: &target {name: gpt-oss-20b}
    source: &source {name: gpt-5}
prompts:
  sections: &sections
    name: sections_for_oss
    schema: *main_schema
    default_template:
      - {role: system, content: "Which is it: METHODS, RESULTS or OBJECTIVE?"}
      - {role: user, content: "{{query}}"}
agents:
  classifier: &classifier {name: classifier, model: *target, prompt: *sections}
optimizations:
  prompt_optimizations:
    migrate: {name: migrate, prompt: *sections, agent: classifier, dataset_name: sections_migration, reflection_model: *source,
              scorers: [exact_match], num_candidates: 4, max_steps: 3, register: if_better}
"""


@scorer
def right_label(outputs: str, expectations: dict[str, Any]) -> Any:
    """Right or wrong, with the label that it should have been."""
    wanted = expectations["expected_response"]
    return mlflow.entities.Feedback(value=outputs == wanted, rationale=f"the answer should be {wanted}")


@cache
def client() -> openai.OpenAI:
    """One client for all calls: it keeps its connections."""
    return openai.OpenAI()


def ask(model: str, reference: str, query: str) -> str:
    """What a model answers to a version of the prompt."""
    messages = mlflow.genai.load_prompt(reference).format(query=query)
    said = client().chat.completions.create(model=model, messages=messages)
    return said.choices[0].message.content or ""


def notebook() -> None:
    """Registers, improves for each model, and loads by the model's alias."""
    template = [
        {"role": "system", "content": "Which is it: METHODS, RESULTS or OBJECTIVE?"},
        {"role": "user", "content": "{{query}}"},
    ]
    prompt = mlflow.genai.register_prompt(name=LOCATION, template=template, commit_message="as it was written first")
    print(f"{prompt.uri}: {ask('gpt-5', prompt.uri, SENTENCES['METHODS'][0])!r}")
    registry = mlflow.MlflowClient()
    for alias, model in MODELS.items():
        result = mlflow.genai.optimize_prompts(
            predict_fn=lambda query, model=model: ask(model, prompt.uri, query),
            train_data=ROWS,
            prompt_uris=[prompt.uri],
            optimizer=GepaPromptOptimizer(reflection_model="openai:/gpt-5", max_metric_calls=60),
            scorers=[right_label],
        )
        version = result.optimized_prompts[0].version
        registry.set_registered_prompt_alias(LOCATION, alias, version)
        print(
            f"{LOCATION}@{alias} is version {version}: {result.initial_eval_score:.2f} -> {result.final_eval_score:.2f}, {result.because}"
        )
    for alias, model in MODELS.items():
        reference = f"prompts:/{LOCATION}@{alias}"
        print(f"{reference}: {ask(model, reference, SENTENCES['METHODS'][0])!r}")


def configuration(folder: Path) -> None:
    """Records the source model, improves the prompt for the target, and pins what came of it."""

    @mlflow.trace
    def with_source_model(query: str) -> str:
        return ask(MODELS["gpt5"], f"prompts:/{LOCATION}@gpt5", query)

    with mlflow.start_run() as run:
        for row in ROWS:
            with_source_model(**row["inputs"])  # type: ignore[arg-type]
    dataset = create_dataset(name="sections_migration")
    dataset.merge_records(mlflow.search_traces(return_type="list", run_id=run.info.run_id))
    file = folder / "migration.yaml"
    file.write_text(CONFIG)
    optimizations = AppConfig.from_file(file).optimizations
    assert optimizations is not None
    for name, improved in optimizations.optimize().items():
        print(f"{name}: {improved.uri}")
        file.write_text(CONFIG.replace("name: sections_for_oss", f"name: sections_for_oss\n    version: {improved.version}"))
    pinned = AppConfig.from_file(file).prompts["sections"]
    print(f"pinned: {pinned.uri}: {ask(MODELS['gpt_oss_20b'], pinned.uri, SENTENCES['METHODS'][0])!r}")


def main() -> None:
    """Both, on an empty registry."""
    with tempfile.TemporaryDirectory() as folder, simulated_models():
        os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{folder}/prompts.db"
        notebook()
        configuration(Path(folder))
        client().close()
        current_registry().close()


if __name__ == "__main__":
    main()
