"""Plain data (JSON data) from the objects that agents answer with, and typed objects from the plain data of a row."""
