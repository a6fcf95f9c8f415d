"""NRQL on DuckDB: events as NRDB would hold them, statements translated to SQL, answers in NRDB's shapes."""
