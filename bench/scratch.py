"""Places for what benchmarks write: on the disk of this checkout, because a temporary folder may be memory."""

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(__file__).resolve().parent / ".cache"
"""Kept between runs, and ignored by git."""


@contextmanager
def scratch() -> Generator[Path]:
    """A folder that is gone afterwards."""
    CACHE.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=CACHE))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def file_system() -> str:
    """What kind of file system that is: `tmpfs` is memory, where waiting for the disk costs nothing. Told by Linux."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "disk"
    kinds = {fields[1]: fields[2] for fields in map(str.split, mounts.read_text(encoding="utf-8").splitlines())}
    here = next(each for each in (CACHE, *CACHE.parents) if str(each) in kinds)
    return kinds[str(here)]
