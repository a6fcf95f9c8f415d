"""The two descriptors that carry JSON-RPC on stdio, kept away from everybody else in the process.

Claimed before anything heavy is imported and never given back: what a library prints, even at exit, lands on stderr.
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """Where requests come from and answers go to, as private descriptors that children do not inherit."""

    incoming: int
    outgoing: int


def claim_wire() -> Wire:
    """Take standard input and output as the wire; standard output means stderr from now on.

    Raises `OSError` when the process was started without them.
    """
    wire = Wire(os.dup(0), os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return wire
