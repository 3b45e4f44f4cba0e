"""The tables of a registry, in SQL that SQLite and PostgreSQL both read; a `Dialect` has the expressions that differ."""
