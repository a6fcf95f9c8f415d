"""What is imported when: the rule between packages, and what starting the command may cost."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("server", "tools", "state", "sources")
_UNIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
_WINDOWS_ONLY = {"msvcrt", "winreg", "_winapi"}
_HEAVY = {"mcp", "mcp_types", "duckdb", "rich", "uvicorn", "starlette", "pydantic", "httpx2", "cachetools", "anyio"}


def _modules_after(code: str) -> set[str]:
    asked = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", asked], capture_output=True, text=True, check=True, timeout=30, cwd=_ROOT
    )
    return {name.partition(".")[0] for name in answer.stdout.split()}


def _imported_at_once(path: Path) -> Iterator[str]:
    """Packages that reading the file imports, whatever the system: not those in functions, `if` or `try`."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.Import():
                yield from (alias.name.partition(".")[0] for alias in node.names)
            case ast.ImportFrom(level=0, module=str(module)):
                yield module.partition(".")[0]
            case _:
                pass


@pytest.mark.parametrize("code", ["import server.__main__", "import server.cli", "import server.stdio_wire"])
def test_starting_the_command_reads_nothing_heavy(code: str) -> None:
    assert _modules_after(code) & _HEAVY == set()


def test_the_server_process_never_reads_duckdb() -> None:
    assert "duckdb" not in _modules_after("import server.stdio, server.http_serve, server.doctor, server.demo")


def test_a_server_that_does_not_use_redis_never_reads_it() -> None:
    assert "redis" not in _modules_after("import server.stdio, server.http_serve, server.doctor, server.demo")


def test_no_file_needs_a_module_that_only_some_systems_have() -> None:
    needy = [
        f"{path.relative_to(_ROOT)}: {name}"
        for package in _PACKAGES
        for path in (_ROOT / package).rglob("*.py")
        for name in _imported_at_once(path)
        if name in _UNIX_ONLY | _WINDOWS_ONLY
    ]
    assert needy == []


def test_packages_import_each_other_only_as_the_house_allows() -> None:
    linter = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert linter is not None, "import-linter belongs to the development tools"
    checked = subprocess.run([linter], capture_output=True, text=True, check=False, timeout=60, cwd=_ROOT)
    assert checked.returncode == 0, checked.stdout
