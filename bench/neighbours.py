"""What a user might take instead, in an environment of its own: `bench` of the dependency groups, below the cache."""

import json
import subprocess
import sys
import tomllib
import venv
from functools import cache
from pathlib import Path
from typing import Any

from scratch import CACHE

_HERE = Path(__file__).resolve().parent
_PROJECT = _HERE.parent / "pyproject.toml"


@cache
def neighbours_python() -> Path | None:
    """The interpreter of that environment, made when it is not there. None: it cannot be had here."""
    folder = CACHE / f"neighbours-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
    wanted = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["dependency-groups"]["bench"]
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(install, check=False, stderr=subprocess.DEVNULL)
    return python if done.returncode == 0 else None


def told(python: Path | str, script: str, *arguments: object) -> Any:
    """The last line that a script of this folder prints, read as JSON."""
    command = [str(python), str(_HERE / script), *map(str, arguments)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


def versions(python: Path, *names: str) -> str:
    """What is installed there, for a reader of the numbers."""
    ask = "import sys, importlib.metadata as m; print(', '.join(n + ' ' + m.version(n) for n in sys.argv[1:]))"
    return subprocess.run([python, "-c", ask, *names], check=True, capture_output=True, text=True).stdout.strip()
