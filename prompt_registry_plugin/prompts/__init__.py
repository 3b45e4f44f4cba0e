"""What a prompt is: a version that renders itself, and the scope in which a candidate stands for it."""
