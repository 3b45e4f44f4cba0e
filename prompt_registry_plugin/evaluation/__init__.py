"""Running a target on examples, scoring it, and comparing variants in pairs."""
