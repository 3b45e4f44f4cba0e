"""Prompts as files: our own (`dotprompt`), and readers of other tools' (each with a function `read`).

A reader takes a path or an address and yields `ImportedPrompt`s. Everything is data to it: nothing is executed, deserialised into
objects or followed to another machine.
"""
