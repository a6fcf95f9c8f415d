"""Taking a file from its form to the next, one step in one transaction; several processes may do so at once."""

import sqlite3
from collections.abc import Iterator

from state.sqlite.tables import APPLICATION_ID


def set_up(connection: sqlite3.Connection, steps: tuple[str, ...]) -> None:
    """Make a journal of an empty file."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    bring_up(connection, steps)


def bring_up(connection: sqlite3.Connection, steps: tuple[str, ...]) -> None:
    """Take the steps that are left. Raises `sqlite3.Error`; the steps before the one that failed are then taken."""
    for number in range(_taken(connection), len(steps)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _taken(connection) == number:  # or another process was faster
                for statement in _statements(steps[number]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _taken(connection: sqlite3.Connection) -> int:
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    return taken


def _statements(step: str) -> Iterator[str]:
    """One by one: running a script as a whole would end the transaction first."""
    statement = ""
    for part in step.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):  # or the semicolon is part of a text or a comment
            yield statement
            statement = ""
