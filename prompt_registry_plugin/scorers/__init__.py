"""Judging answers: the `scorer` decorator and built-in scorers."""
