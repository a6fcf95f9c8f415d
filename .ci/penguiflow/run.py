"""Runs Penguiflow's own tests of a store against ours, on SQLite, with the sources of its newest release.

Also our tests with its real classes, and Penguiflow itself at work. Exits with 1 unless all pass. The environment is
thrown away; only what the development environment lacks is fetched, the rest is borrowed from it. Penguiflow cannot be
installed beside uds-mcp as a whole: it needs an older MCP SDK.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import xml.etree.ElementTree as ET
from pathlib import Path
from tempfile import TemporaryDirectory

_VERSION = "3.11.2"
_LACKING = ("setuptools==80.9.0", "pyyaml==6.0.3", "pytest-asyncio==1.5.0", "fastapi==0.165.0", "annotated-doc==0.0.7")
_UPSTREAM = (
    "tests/test_state_unified_store.py",
    "tests/test_artifacts.py::TestPlaygroundArtifactStoreList",
    "tests/test_phase4_hardening.py::TestSessionAccessControl",
    "tests/test_playground_phase3.py::TestPlaygroundArtifactStore",
    "tests/test_playground_phase3.py::TestInMemoryStateStore",
)
_NOT_OF_THE_PROTOCOL = (
    "tests/test_playground_phase3.py::TestPlaygroundArtifactStore::test_clear_session",  # a method of that class only
    "tests/test_playground_phase3.py::TestInMemoryStateStore::test_artifact_store_property",  # the very class
)
_HERE = Path(__file__).parent.resolve()
_ROOT = _HERE.parents[1]


def main() -> int:
    began_s = time.monotonic()
    with TemporaryDirectory() as folder:
        place = Path(folder)
        python = _environment(place / "environment")
        if not _fetch(python, place):
            print(f"penguiflow {_VERSION}: it could not be fetched from the package index, so nothing was proven")
            return 1
        sources = place / f"penguiflow-{_VERSION}"
        deselected = [f"--deselect={each}" for each in _NOT_OF_THE_PROTOCOL]
        asked = ["-p", "penguin_plug", "-o", "asyncio_mode=auto", *_UPSTREAM, *deselected]
        paths = [_ROOT, _HERE]
        passed = _tested(python, "its own tests of a store", asked, sources, paths)
        ours = ["tests/contracts/test_penguiflow_store.py", "-p", "no:asyncio"]
        passed &= _tested(python, "our tests with its classes", ours, _ROOT, [_ROOT, sources])
        flow = [
            "-o",
            "asyncio_mode=auto",
            "-o",
            "asyncio_default_fixture_loop_scope=function",
            str(_HERE / "flow_with_our_store.py"),
        ]
        passed &= _tested(python, "itself at work", flow, sources, paths)
    print(f"penguiflow {_VERSION}: {time.monotonic() - began_s:.0f} s")
    return 0 if passed else 1


def _environment(place: Path) -> str:
    """Its interpreter. It sees what this one has installed, but none of our packages."""
    venv.create(place, with_pip=False, symlinks=os.name == "posix")
    scheme = sysconfig.get_paths(scheme="venv", vars={"base": str(place), "platbase": str(place)})
    Path(scheme["purelib"], "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    python = shutil.which("python", path=scheme["scripts"])
    if python is None:
        raise SystemExit("the new environment has no interpreter")
    return python


def _fetch(python: str, place: Path) -> bool:
    """The sources, with their tests, and what they need and is not here. False: they cannot be had."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    got = ["download", "-q", "--no-deps", "--no-build-isolation", "--no-binary", "penguiflow"]
    for asked in (
        [*pip, "install", "-q", "--no-deps", *_LACKING],
        [*pip, *got, f"--dest={place}", f"penguiflow=={_VERSION}"],
    ):
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2_000:])
            return False
    with tarfile.open(place / f"penguiflow-{_VERSION}.tar.gz") as archive:
        archive.extractall(place, filter="data")
    return True


def _tested(python: str, what: str, asked: list[str], folder: Path, paths: list[Path]) -> bool:
    """Run some tests in a folder and print how many passed. Nothing may be skipped, and something must have run."""
    with TemporaryDirectory() as kept:
        report = Path(kept, "report.xml")
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *asked]
        path = os.pathsep.join(map(str, paths))
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        cases = [*ET.parse(report).iter("testcase")] if report.exists() else []  # noqa: S314 - pytest's own report
    passed = [each for each in cases if not list(each)]
    print(f"penguiflow {_VERSION}: {what}: {len(passed)} of {len(cases)} passed")
    if done.returncode or not cases or len(passed) != len(cases):
        print(done.stdout[-8_000:], done.stderr[-2_000:])
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
