"""What somebody else publishes: an adapter for a framework of their own, with a test suite of twenty lines."""
