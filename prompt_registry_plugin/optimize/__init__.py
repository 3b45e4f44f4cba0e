"""Improving all prompts of a workflow together, from examples and scorers."""
