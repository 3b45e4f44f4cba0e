"""Framework adapters: thin layers that meet prompts where each framework loads them. The semantics live in the core."""
