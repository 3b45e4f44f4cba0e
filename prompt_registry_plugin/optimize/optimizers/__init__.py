"""The searches that a run may use."""
