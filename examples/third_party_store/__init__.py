"""A third party's store that keeps prompts and nothing else: one JSON file."""
