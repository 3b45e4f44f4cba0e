"""Google ADK: instructions served, recorded and named; agents, runners and apps as targets."""
