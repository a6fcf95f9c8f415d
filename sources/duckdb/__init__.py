"""Files, folders and embedded databases, read through DuckDB in a jailed worker."""
