"""The least server that the SDK makes: one tool that echoes. What our own server costs is measured against it."""

from mcp.server import MCPServer

server = MCPServer("bare")


@server.tool()
async def echo(text: str) -> str:
    """Say it again."""
    return text


if __name__ == "__main__":
    server.run()
