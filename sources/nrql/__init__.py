"""NRQL as a language: read into a tree, checked, bounded and written again. No network and no engine here."""
