"""Databases: SQLite and PostgreSQL. No other package has SQL in it."""
