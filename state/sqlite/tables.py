"""The tables of the journal's file, and the steps from each earlier form of them to the next."""

from typing import Final

APPLICATION_ID: Final = 0x5544534A
"""`UDSJ`, in the header of the file: tells it from any other SQLite database."""

STEPS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE sessions (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        opened_key TEXT,
        opened_at REAL NOT NULL,
        accessed_at REAL NOT NULL,
        expires_at REAL NOT NULL,
        ended_at REAL,                              -- NULL: live
        version INTEGER NOT NULL,
        nonce TEXT NOT NULL,
        link BLOB NOT NULL,
        size_bytes INTEGER NOT NULL,                -- of the contents that are kept
        compacted_version INTEGER NOT NULL,         -- events up to this one are dropped; 0: none
        compacted_link BLOB NOT NULL                -- what the first kept event is bound to
    );
    CREATE UNIQUE INDEX sessions_opened ON sessions (owner, opened_key)
        WHERE opened_key IS NOT NULL AND ended_at IS NULL;
    CREATE INDEX sessions_owned ON sessions (owner) WHERE ended_at IS NULL;
    CREATE INDEX sessions_live ON sessions (expires_at) WHERE ended_at IS NULL;
    CREATE INDEX sessions_past ON sessions (ended_at) WHERE ended_at IS NOT NULL;
    CREATE INDEX sessions_kept ON sessions (owner, ended_at, size_bytes) WHERE ended_at IS NOT NULL;
    CREATE TABLE events (                           -- in the order of writing: half the cost of one sorted by session
        n INTEGER NOT NULL,
        version INTEGER NOT NULL,
        nonce TEXT NOT NULL,
        salt BLOB,                                  -- NULL, as the content: forgotten on request
        content TEXT,
        digest BLOB NOT NULL,
        link BLOB NOT NULL,
        PRIMARY KEY (n, version)
    );
    CREATE TABLE checkpoints (
        n INTEGER NOT NULL,
        version INTEGER NOT NULL,
        nonce TEXT NOT NULL,
        state BLOB NOT NULL,
        digest BLOB NOT NULL,                       -- SHA-256 of the state
        PRIMARY KEY (n, version)
    ) WITHOUT ROWID;
    CREATE TABLE owners (                           -- what live sessions hold together
        owner TEXT PRIMARY KEY,
        sessions INTEGER NOT NULL,
        events INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL
    ) WITHOUT ROWID;
    """,
)
"""`PRAGMA user_version` is the number of steps a file has taken. A step is never changed, only followed by another."""
