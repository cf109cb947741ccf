"""The direction of the imports: tools -> train -> edge, and edge/msk needs NumPy alone."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edge", "train", "calibrate", "tools")
MAY_IMPORT = {
    "edge": {"edge"},
    "train": {"edge", "train"},
    "calibrate": {"edge", "train", "calibrate"},
    "tools": {"edge", "train", "tools"},
}
DESKTOP_ONLY = {
    "torch",
    "onnx",
    "onnxscript",
    "opensim",
    "ezc3d",
    "train",
    "calibrate",
    "tools",
    "quadprog",
    "hypothesis",
    "pytest",
}
DEVICE = {
    "numpy",
    "scipy",
    "serial",
    "click",
    "onnxruntime",
    "pydantic",
    "pydantic_core",
    "mcap",
    "rich",
    "tomli",
    "zstandard",
}
"""What comes with the base install."""
EXTRAS = {"ezc3d", "vqf"}
"""What comes with an extra, is imported where it is used, and missed with a message."""


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


@pytest.mark.parametrize("package", [p for p in PACKAGES if (ROOT / p).is_dir()])
def test_nothing_points_back(package: str) -> None:
    assert len(modules(package)) > 1
    for path in modules(package):
        for name in imported(path):
            if ours(name):
                assert name.partition(".")[0] in MAY_IMPORT[package], f"{path.relative_to(ROOT)} imports {name}"


def test_edge_imports_what_the_device_has() -> None:
    for path in modules("edge"):
        for name in imported(path):
            top = name.partition(".")[0]
            assert top in DEVICE | EXTRAS | {"edge"} | sys.stdlib_module_names, (
                f"{path.relative_to(ROOT)} imports {name}"
            )


def test_the_physics_need_numpy_alone() -> None:
    for path in modules("edge/msk"):
        for name in imported(path):
            top = name.partition(".")[0]
            allowed = name.startswith(("edge.msk", "edge.errors")) if top == "edge" else True
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"
            assert top in {"numpy", "edge"} | sys.stdlib_module_names, f"{path.relative_to(ROOT)} imports {name}"


def test_safety_needs_nothing_but_the_states() -> None:
    for name in imported(ROOT / "edge" / "control" / "safety.py"):
        if ours(name):
            assert name.startswith("edge.control.state")
        else:
            assert name.partition(".")[0] in sys.stdlib_module_names


def test_no_subcommand_is_loaded_for_another() -> None:
    """Nothing heavy for `--help`: the command line itself imports click and the standard library."""
    for name in imported(ROOT / "edge" / "cli.py"):
        assert name in {"edge", "click"} or name.startswith(("edge.errors", "edge.desktop")) or not ours(name)


LOADER = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))
"""


def loaded_by(names: list[str]) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after importing these modules."""
    result = subprocess.run(
        [sys.executable, "-c", LOADER, json.dumps(names)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def test_a_device_with_every_module_loaded_has_loaded_nothing_of_the_desktop() -> None:
    names = [m.name for m in pkgutil.walk_packages([str(ROOT / "edge")], prefix="edge.")]
    assert len(names) > 40
    assert "edge.pipeline" in names
    assert "edge.commands.run" in names
    assert loaded_by(names) & DESKTOP_ONLY == set()


def test_the_physics_load_numpy_alone() -> None:
    names = [m.name for m in pkgutil.walk_packages([str(ROOT / "edge" / "msk")], prefix="edge.msk.")]
    assert "edge.msk.dynamics" in names
    others = (DEVICE | DESKTOP_ONLY) - {"numpy"}
    assert loaded_by(names) & others == set()


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by(["edge.cli"]) & ((DEVICE | DESKTOP_ONLY) - {"click"}) == set()
