"""The source `newrelic`: event types and metrics of New Relic accounts, asked through NerdGraph."""
