"""The searches that an optimization run may use."""
