"""The tables of a registry in SQL that SQLite and PostgreSQL both read; what differs between them is in a `Dialect`."""
