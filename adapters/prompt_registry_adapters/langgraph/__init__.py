"""LangGraph: nodes hold LangChain objects, so the LangChain adapter serves their prompts. This one adds graphs as targets."""
