"""Configuration files: models, prompts, agents, data sets and optimizations in YAML. Needs the extra `config`."""
