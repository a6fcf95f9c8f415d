"""The console script: nothing heavy is imported here, so that the engine can start before the protocol SDK is read."""

import sys


def main() -> None:
    """Run the command line of this process and exit with its code."""
    from server.cli import run  # noqa: PLC0415 - keeps this file importable in a microsecond

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
