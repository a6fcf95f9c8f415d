"""How the demo draws answers: headings, tables, a sparkline, and the line that says how an answer came about."""

import math
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from server.demo_calls import Answer
from server.demo_calls import Told

_BARS = " ▁▂▃▄▅▆▇█"
_ASCII_BARS = " _.:-=+*#"
_CELL_CHARS = 44


class Screen:
    """Where the demo writes. Everything that comes from a server is drawn as plain text, never as markup."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step = 0

    def title(self, text: str, below: str) -> None:
        self._console.print(Text(text, style="bold cyan"))
        self._console.print(Text(below, style="dim"))

    def step(self, call: str, why: str) -> None:
        """Open the next step: the call as it is made, and what a person should look for."""
        self._step += 1
        self._console.print()
        self._console.print(Text.assemble((f"{self._step}. ", "bold"), (call, "bold green"), f"  {why}"))

    def gap(self) -> None:
        self._console.print()

    def line(self, text: str, style: str = "") -> None:
        self._console.print(Padding(Text(text, style=style), (0, 0, 0, 3), expand=False))

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[int] = ()) -> None:
        """Draw rows; `right`: the columns that hold numbers."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=True, header_style="bold", show_edge=False, padding=(0, 1))
        for place, heading in enumerate(headings):
            table.add_column(Text(heading), justify="right" if place in right else "left", overflow="ellipsis")
        for row in rows:
            table.add_row(*(Text(shown(cell)) for cell in row))
        self._console.print(table)

    def evidence(self, told: Told) -> None:
        """Say how the answer came about, from its own provenance, and what it cost."""
        self.line(_evidence_text(told.answer["provenance"], told.waited_ms), "dim")
        for hint in told.answer["hints"]:
            self.line(f"hint: {hint}", "yellow")

    def sparkline(self, buckets: Sequence[Answer]) -> None:
        """Draw a histogram in one line, with the values at its ends; long tails only show on a logarithmic scale."""
        if not buckets:
            return
        bars = _ASCII_BARS if self._console.options.ascii_only else _BARS
        most = max(bucket["rows"] for bucket in buckets) or 1
        heights = [math.log1p(bucket["rows"]) / math.log1p(most) for bucket in buckets]
        drawn = "".join(bars[math.ceil((len(bars) - 1) * height)] for height in heights)
        ends = shown(buckets[0]["from"]), shown(buckets[-1]["to"])
        self.line(f"{ends[0]} {drawn} {ends[1]}   (logarithmic, tallest: {most:,} rows)", "cyan")


def shown(value: Any) -> str:
    """A value as a person reads it: thousands separated, long text cut, absent as a dash."""
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.3f}".rstrip("0").rstrip(".")
        case _:
            text = str(value)
            return text if len(text) <= _CELL_CHARS else f"{text[: _CELL_CHARS - 3]}..."


def percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _evidence_text(provenance: Answer, waited_ms: float) -> str:
    queries = len(provenance["queries"])
    bound = provenance.get("error_bound")
    measured = [
        f"{provenance['method']}, {provenance['rows_inspected']:,} rows inspected",
        *([f"shares within {percent(bound)} either way"] if bound is not None else []),
        f"{queries} quer{'y' if queries == 1 else 'ies'}",
        f"measured in {provenance['took_ms']:,.1f} ms",
        f"answered in {waited_ms:,.1f} ms",
    ]
    if provenance["cached"]:
        measured.append(f"from cache, {provenance['age_s']:.1f} s old")
    return "how: " + ", ".join(measured)
