"""Prompts in and out: files in git, whole registries, other tools."""
