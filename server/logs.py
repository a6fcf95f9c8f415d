"""Where log lines go: standard error, always, so that standard output stays the wire."""

import logging
import sys

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to_stderr(level: str) -> None:
    """Send everything from `level` up to stderr; must come before the SDK sets up its own logging."""
    logging.basicConfig(level=level, format=_FORMAT, stream=sys.stderr, force=True)
    if level != "DEBUG":
        # The SDK reports each message of a normal conversation at INFO.
        logging.getLogger("mcp").setLevel(max(logging.getLevelNamesMapping()[level], logging.WARNING))
