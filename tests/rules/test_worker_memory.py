"""Which memory a resting worker may give back."""

import subprocess
import sys

import pytest

from sources.duckdb.worker_memory import clean_areas

LISTED = """\
1000-2000 r-xp 00000000 fe:00 123    /lib/engine.so
Rss:    4 kB
Anonymous:         0 kB
2000-3000 r--p 00000000 fe:00 123    /lib/engine.so
Anonymous:         4 kB
3000-4000 rw-p 00000000 fe:00 123    /lib/engine.so
Anonymous:         0 kB
4000-5000 r--p 00000000 00:00 0
Anonymous:         0 kB
5000-6000 r--p 00000000 fe:00 124    /lib/other name.so
Anonymous:         0 kB
"""


def test_only_unchanged_file_pages_that_cannot_be_written_are_given_back() -> None:
    assert list(clean_areas(LISTED.splitlines())) == [(0x1000, 0x2000), (0x5000, 0x6000)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the memory of a process")
def test_an_engine_that_gave_its_pages_back_goes_on_and_holds_less() -> None:
    script = """
import duckdb
from sources.duckdb.worker_memory import release_library_pages
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
connection = duckdb.connect()
connection.execute("select 1").fetchall()
before = resident()
release_library_pages()
print(resident() < before * 0.7, connection.execute("select sum(i) from range(1000) t(i)").fetchall()[0][0])
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "499500"], done.stderr
