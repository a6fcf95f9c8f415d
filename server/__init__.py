"""The running server: command line, settings, MCP registration and transports."""

__version__ = "0.1.0"
