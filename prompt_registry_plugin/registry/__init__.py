"""Prompts by name: register, load, alias, roll back, adopt."""
