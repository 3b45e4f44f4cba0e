"""The registry: prompts, traces and datasets by name, and hard-coded prompts that it replaces."""
