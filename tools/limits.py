"""How large questions and answers may get."""

ROWS_TOKENS = 1_500
"""Default size of the rows of an answer, in estimated o200k tokens; with the rest of it that stays under 2,000."""
ROWS_TOKENS_LEAST = 500
COLUMNS_TOKENS = 200
"""What columns may take without leaving less for rows."""
DESCRIBED_TOKENS = 1_500
RECALLED_TOKENS = {"goals": 250, "findings": 700, "context": 350, "preferences": 150, "explored": 250}
"""Shares of an answer of `recall`."""
RECALLED_SESSIONS_TOKENS = 1_600
CONFLICTS_TOKENS = 400
"""Open conflicts in an answer; `recall` shows so much less of the findings meanwhile."""
EVENTS_TOKENS = 1_400
"""Events of an answer that shows nothing else."""
EVENTS_TOKENS_BESIDE = 500
"""Events beside a state or changes."""
STATE_TOKENS = 900
"""A state, changes, or both together."""
ROW_TOKENS_MOST = 4_000
"""A single row, or the list of columns, that takes more is refused."""
ROWS_TOKENS_MOST = 20_000
"""Size of the rows when the caller asked for more of them. Source: Claude Code refuses answers over 25,000 tokens."""

SCHEMAS_PER_PAGE_MOST = 100
ATTRIBUTES_BRIEF = 24
ATTRIBUTES_FULL = 12
ATTRIBUTES_NAMED_MOST = 200
ROWS_MOST = 10_000
EVENTS_MOST = 200
"""Events of a page of a session's history."""
QUERY_CHARS_MOST = 100_000
NAME_CHARS_MOST = 1_000
TEXT_CHARS_MOST = 2_000
DESCRIBE_WITHIN_S = 120.0
"""A full description reads every row, several times for wide text; beyond this it is stopped."""
