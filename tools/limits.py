"""How large questions and answers may get. One token is about three characters of compact JSON."""

ANSWER_CHARS = 6_000
"""Default size of an answer: about 2,000 o200k tokens."""
ANSWER_CHARS_MOST = 48_000
"""Size of an answer when the caller asked for more rows. Source: Claude Code moves text over 50,000 characters to a
file."""

SCHEMAS_PER_PAGE_MOST = 100
ATTRIBUTES_BRIEF = 24
ATTRIBUTES_FULL = 12
ATTRIBUTES_NAMED_MOST = 200
ROWS_MOST = 10_000
QUERY_CHARS_MOST = 100_000
NAME_CHARS_MOST = 1_000
TEXT_CHARS_MOST = 2_000
VALUE_CHARS_MOST = 16_384
DESCRIBE_WITHIN_S = 120.0
"""A full description reads every row, several times for wide text; beyond this it is stopped."""
