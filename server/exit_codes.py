"""What the process tells whoever started it."""

from typing import Final

EXIT_DONE: Final = 0
"""Done, or asked to stop."""
EXIT_FAILED: Final = 1
"""It could not do what was asked."""
EXIT_WRONG: Final = 2
"""The command line or a setting is wrong."""
