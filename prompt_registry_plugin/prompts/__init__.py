"""A version of a prompt, which renders itself, and the block of code in which a candidate replaces it."""
