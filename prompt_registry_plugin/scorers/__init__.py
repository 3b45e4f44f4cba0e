"""Scorers and judges: the `scorer` decorator, built-in scorers, and those of other libraries."""
