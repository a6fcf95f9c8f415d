"""Writes the exact version of everything the project asks for, directly or not, as installed in this environment.

Only what pyproject.toml leads to is pinned, so tools that somebody installed by hand never get in.
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HEAD = "# Exact versions of everything that running, testing and building needs: make constraints"


def asked_for(project: Path) -> list[Requirement]:
    """Everything pyproject.toml names: to run, each extra, to develop, to build."""
    told = tomllib.loads(project.read_text(encoding="utf-8"))
    groups = [
        told["project"]["dependencies"],
        *told["project"]["optional-dependencies"].values(),
        told["dependency-groups"]["dev"],
        told["build-system"]["requires"],
    ]
    return [Requirement(text) for group in groups for text in group]


def pins(roots: list[Requirement]) -> dict[str, str]:
    """Installed versions by name, for the roots and all they need here. Raises when a root is not installed."""
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(root, True) for root in roots]
    while waiting:
        wanted, is_root = waiting.pop()
        try:
            installed = distribution(wanted.name)
        except PackageNotFoundError:
            if is_root:
                raise
            continue  # needed on other platforms only
        name = canonicalize_name(wanted.name)
        found[name] = installed.version
        for extra in wanted.extras or {""}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            needs = [Requirement(text) for text in installed.requires or ()]
            waiting += [
                (need, False)
                for need in needs
                if need.marker is None or need.marker.evaluate({"extra": extra}) or need.marker.evaluate({"extra": ""})
            ]
    return found


def main() -> int:
    found = pins(asked_for(Path("pyproject.toml")))
    print(_HEAD)
    for name in sorted(found):
        print(f"{name}=={found[name]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
