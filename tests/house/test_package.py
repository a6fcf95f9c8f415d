"""What is installed is exactly our four packages, and its command starts them wherever it is called from."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp import StdioServerParameters

import server

_ROOT = Path(__file__).parents[2]
_PACKAGES = {"server", "tools", "state", "sources"}
_DECOY = "raise SystemExit('the decoy was started')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release would have it, built without a network by the backend that is installed here."""
    place = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(place)!r})"
    subprocess.run([sys.executable, "-P", "-c", code], cwd=_ROOT, check=True, capture_output=True, timeout=60)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console script in an environment of its own; only third-party packages are borrowed from ours."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False, symlinks=os.name == "posix")
    scheme = sysconfig.get_paths(scheme="venv", vars={"base": str(place), "platbase": str(place)})
    interpreter = shutil.which("python", path=scheme["scripts"])
    assert interpreter is not None
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", interpreter, "install", "-q", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    # A folder named in a .pth file is searched, but .pth files inside it (our editable install) are not read.
    Path(scheme["purelib"], "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    script = shutil.which("uds-mcp", path=scheme["scripts"])
    assert script is not None
    return Path(script)


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A folder whose own packages have our names, as a user's project may."""
    for name in _PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(_DECOY)
        (tmp_path / name / "__main__.py").write_text(_DECOY)
    return tmp_path


def test_the_wheel_holds_our_four_packages_and_nothing_else_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert top == _PACKAGES | {f"uds_mcp-{server.__version__}.dist-info"}
    assert not [name for name in names if "test" in name.lower() or name.endswith(".pyc")]


def test_the_wheel_holds_types_licence_and_the_sample(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        sample_bytes = sum(each.file_size for each in archive.infolist() if each.filename.startswith("sources/sample/"))
    assert {f"{package}/py.typed" for package in _PACKAGES} <= names
    assert f"uds_mcp-{server.__version__}.dist-info/licenses/LICENSE" in names
    assert any(name.startswith("sources/sample/") and name.endswith(".parquet") for name in names)
    assert sample_bytes <= 1_500_000


def test_the_installed_command_is_ours_in_a_folder_of_decoys(installed: Path, decoys: Path) -> None:
    answer = subprocess.run(
        [installed, "--version"], cwd=decoys, capture_output=True, text=True, check=False, timeout=30
    )
    assert (answer.returncode, answer.stdout.strip()) == (0, f"uds-mcp {server.__version__}")


@pytest.mark.anyio
async def test_the_installed_server_answers_in_a_folder_of_decoys(installed: Path, decoys: Path) -> None:
    command = StdioServerParameters(command=str(installed), cwd=decoys)
    with anyio.fail_after(30):
        async with Client(command) as client:
            answer = await client.call_tool("list_schemas", {})
    assert not answer.is_error
    assert answer.structured_content is not None
    assert answer.structured_content["sources"][0]["status"] == "ok"
    assert answer.structured_content["total"] >= 5
