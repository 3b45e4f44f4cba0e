"""What an agent did, as a tree of spans that knows which prompt was rendered where."""
