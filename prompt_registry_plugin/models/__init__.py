"""Models that this package itself calls, to judge answers and to propose texts, and an agent made of a prompt and a model."""
