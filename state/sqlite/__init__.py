"""State in one SQLite file that all processes of a machine share."""
