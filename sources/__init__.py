"""Where facts come from: the Source protocol and its implementations."""
