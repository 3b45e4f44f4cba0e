"""The trace of an agent: a tree of spans, linked to the prompts that were rendered, and the recorder that collects it."""
