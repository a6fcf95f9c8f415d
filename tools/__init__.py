"""What an assistant can do: one tool per file, free of MCP, HTTP and drivers."""
