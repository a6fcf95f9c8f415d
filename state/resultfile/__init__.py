"""Results in a SQLite file that all processes of a machine share, and that may be deleted at any time."""
