"""CrewAI: roles, goals, backstories, descriptions and expected outputs served, recorded and named; crews and agents as targets."""
