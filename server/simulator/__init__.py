"""A NerdGraph of our own over files, for tests, benches and first tries; it proves nothing about New Relic."""
