"""`start_span`: a block of code as a span, with MLflow's methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prompt_registry_plugin.mlflow.linking import LINKED_PROMPTS, current_links, with_link
from prompt_registry_plugin.mlflow.traces import recorded
from prompt_registry_plugin.prompts.context import current_recorder
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.tracing.recorder import TraceRecorder, span


class LiveSpan:
    """A span that is open. `attributes` are stored with it when it ends; `inputs` and `outputs` are what the trace shows."""

    def __init__(self, name: str, trace_id: str, span_id: str, attributes: Mapping[str, Any] | None) -> None:
        self.name = name
        self.trace_id = self.request_id = trace_id
        self.span_id = span_id
        self.inputs: Any = None
        self.outputs: Any = None
        self.attributes: dict[str, Any] = dict(attributes or {})

    def set_inputs(self, inputs: Any) -> None:
        """What the step was given."""
        self.inputs = inputs

    def set_outputs(self, outputs: Any) -> None:
        """What came out of it."""
        self.outputs = outputs

    def set_attribute(self, key: str, value: Any) -> None:
        """Something else to be known of it."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Several."""
        self.attributes.update(attributes)

    def get_attribute(self, key: str) -> Any:
        """One of them, or None."""
        return self.attributes.get(key)

    def _link(self, version: PromptVersion) -> None:
        self.attributes[LINKED_PROMPTS] = with_link(self.attributes.get(LINKED_PROMPTS), version)

    def _kept(self) -> dict[str, Any]:
        """What the stored span has."""
        inputs = self.inputs if isinstance(self.inputs, Mapping) else {} if self.inputs is None else {"input": self.inputs}
        known = {"inputs": inputs} if inputs else {}
        return {**self.attributes, **known, **({} if self.outputs is None else {"output": self.outputs})}


@contextmanager
def start_span(
    name: str = "span", span_type: str | None = None, attributes: Mapping[str, Any] | None = None
) -> Iterator[LiveSpan]:
    """A block of code as a step of the recording that it happens in, or as a recording of its own. `span_type` is not kept."""
    with recorded(name), span("chain", name) as span_id:
        recorder = current_recorder()
        assert isinstance(recorder, TraceRecorder)
        live = LiveSpan(name, recorder.id, span_id or "", attributes)
        token = current_links.set(live._link)
        try:
            yield live
        except BaseException as error:
            recorder.finish(span_id, attributes=live._kept(), error=error)
            raise
        else:
            recorder.finish(span_id, attributes=live._kept())
        finally:
            current_links.reset(token)
