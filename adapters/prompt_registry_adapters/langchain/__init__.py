"""LangChain: templates, chat templates and callbacks."""
