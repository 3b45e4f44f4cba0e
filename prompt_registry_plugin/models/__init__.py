"""Models that the core itself talks to: for reflection and for judging. Agents bring their own."""
