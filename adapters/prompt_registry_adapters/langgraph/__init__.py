"""LangGraph: nodes hold LangChain objects, so the LangChain adapter meets their prompts; this one adds graphs as targets."""
