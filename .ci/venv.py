"""Makes the virtual environment, and says what is missing when the system's Python cannot."""

import shutil
import subprocess
import sys
from pathlib import Path

_OLDEST = (3, 11)


def main() -> int:
    if sys.version_info < _OLDEST:
        print(f"Python 3.11 or later is needed, this is {sys.version.split()[0]}: make PYTHON=python3.12 ...")
        return 1
    place = Path(sys.argv[1])
    if _works(place):
        return 0
    if place.exists():
        shutil.rmtree(place)
    made = subprocess.run([sys.executable, "-m", "venv", str(place)], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        return 0
    shutil.rmtree(place, ignore_errors=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    print((made.stdout + made.stderr).strip())
    print(f"On Debian and Ubuntu the venv module is a package of its own: apt-get install python{version}-venv")
    return 1


def _works(place: Path) -> bool:
    found = [path for path in (place / "bin" / "python", place / "Scripts" / "python.exe") if path.exists()]
    if not found:
        return False
    asked = [str(found[0]), "-c", "import pip, sys; print(sys.version_info[:2])"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == str(sys.version_info[:2])


if __name__ == "__main__":
    sys.exit(main())
