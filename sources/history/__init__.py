"""The source `uds`: one's own history, so that it can be asked as any other data can."""
