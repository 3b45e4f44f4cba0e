"""Examples, datasets, and human feedback: how files and traces become examples."""
