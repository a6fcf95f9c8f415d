"""Sessions that many instances share, and life without the place where they are shared."""
