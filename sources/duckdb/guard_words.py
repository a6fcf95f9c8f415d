"""Which functions a guest's query may not call, and which answer differently each time.

Made by going through `duckdb_functions()` of DuckDB 2.0: every function that is not a pure function of its arguments
is either refused or marked; a test compares these lists with what the engine says about itself.
"""

from typing import Final

DENIED: Final = frozenset(
    {
        # settings, variables and the environment
        "current_setting",
        "getvariable",
        "getenv",
        "set_config",
        # the session, other sessions and what they run
        "current_connection_id",
        "current_query",
        "current_query_id",
        "current_schemas",
        "current_transaction_id",
        "in_search_path",
        "txid_current",
        "get_block_size",
        "which_secret",
        # state that outlives the call
        "currval",
        "nextval",
        "setval",
        "setseed",
        "write_log",
        # waiting
        "sleep_ms",
        # SQL inside text, which this guard cannot see
        "query",
        "query_table",
        "json_serialize_plan",
        "json_execute_serialized_sql",
        # files and the inside of the engine
        "glob",
        "stats",
        "vector_type",
        "index_key",
        "col_description",
        "obj_description",
        "shobj_description",
    }
)
DENIED_PREFIXES: Final = (
    "__internal",
    "add_parquet_key",
    "duckdb_",
    "enable_",
    "disable_",
    "file_",
    "has_",
    "inet_",
    "parse_duckdb",
    "pg_",
    "pragma_",
    "read_",
    "scan_",
)
HARMLESS: Final = frozenset({"pg_typeof", "pg_size_pretty"})
"""Exceptions to `DENIED_PREFIXES`."""

TABLE_FUNCTIONS: Final = frozenset(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row"}
)
"""The only table functions: each makes its rows from its arguments alone."""

VOLATILE: Final = frozenset(
    {
        "current_database",
        "current_date",
        "current_localtime",
        "current_localtimestamp",
        "current_schema",
        "current_time",
        "current_timestamp",
        "error",
        "gen_random_uuid",
        "get_current_time",
        "get_current_timestamp",
        "localtime",
        "localtimestamp",
        "now",
        "random",
        "today",
        "transaction_timestamp",
        "uuid",
        "uuidv4",
        "uuidv7",
        "reservoir_quantile",
    }
)
"""Allowed, but a result that used one of these must not be kept."""
VOLATILE_COLUMNS: Final = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
)
"""Written without parentheses these arrive as column names."""
VOLATILE_LITERALS: Final = frozenset({"now", "today", "tomorrow", "yesterday"})
"""Text that becomes a moving instant when it is cast to a date or timestamp."""


def denied(function: str) -> bool:
    """Whether the lower-case name may not be called."""
    return function in DENIED or (function.startswith(DENIED_PREFIXES) and function not in HARMLESS)
