"""The default search: many small edits at once on a moving head."""
