"""What the repository promises about itself: commands, packaging, packaged data, the direction of imports."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import edge
from edge.cli import COMMANDS, cli

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("edge", "train", "tools")
LARGEST_DATA_BYTES = 2_000_000
POPULATION, LARGEST_POPULATION_BYTES = "population.msk", 10_000_000


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def project() -> dict[str, object]:
    table: dict[str, object] = tomllib.loads(text("pyproject.toml"))["project"]
    return table


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.MULTILINE))


def checkout_files() -> list[Path]:
    """Files of the repository, also those not yet committed; skips where this is no git checkout."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"not a git checkout: {done.stderr.strip()}")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_the_two_commands_come_first_and_every_named_target_exists() -> None:
    blocks = re.findall(r"```\n(.*?)```", text("README.md"), flags=re.DOTALL)
    assert [line.split("#")[0].strip() for line in blocks[0].splitlines()] == ["make demo", "make test"]
    for name in ("README.md", "CONTRIBUTING.md", "docs/demo.md"):
        # In a code block or in backquotes; "what to make of it" is no command.
        named = re.findall(r"(?:^|`)make ([a-z-]+)", text(name), flags=re.MULTILINE)
        assert named
        assert set(named) <= make_targets(), name


def test_continuous_integration_runs_lint_and_the_tests_of_the_readme() -> None:
    lines = text(".ci/run").splitlines()
    assert any(line.startswith("make lint") for line in lines)
    assert any(line.startswith("make test") for line in lines)
    assert "export EDGE_MSK_REQUIRE_DATA=1" in lines
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_extras_and_a_runtime_without_torch() -> None:
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    assert set(extras) == {
        "train",
        "opensim",
        "c3d",
        "imu",
        "plot",
        "can",
        "lsl",
        "dashboard",
        "experiment",
        "sweep",
        "tensorboard",
        "jetson",
        "dev",
    }
    runtime = project()["dependencies"]
    assert isinstance(runtime, list)
    assert not {"torch", "onnx", "opensim"} & {Requirement(line).name for line in runtime}
    assert project()["requires-python"] == ">=3.10"
    assert project()["scripts"] == {"edge-msk": "edge.cli:main"}


def test_constraints_pin_every_direct_dependency_to_a_version_that_will_do() -> None:
    pins: dict[str, list[Requirement]] = {}
    for line in text("constraints.txt").splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            assert len(pin.specifier) == 1
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    extras, runtime = project()["optional-dependencies"], project()["dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(runtime, list)
    # PyCUDA is compiled on the device against its own CUDA.
    wanted = [*runtime, *(line for name, lines in extras.items() if name != "jetson" for line in lines)]
    for line in wanted:
        need = Requirement(line)
        if need.name == "edge-msk":
            continue
        assert canonicalize_name(need.name) in pins, f"{need.name} is not in constraints.txt: make constraints"
        for pin in pins[canonicalize_name(need.name)]:
            assert next(iter(pin.specifier)).operator == "=="
            assert need.specifier.contains(next(iter(pin.specifier)).version), f"{need} and {pin}: make constraints"


def test_the_version_is_that_of_the_newest_entry_of_the_changelog() -> None:
    newest = re.search(r"^## \[(.+?)\]", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == edge.__version__


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in DOCUMENTS
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
        if not (document.parent / target).exists()
    ]
    assert not broken


def test_packaged_data_is_there_and_small() -> None:
    data = ROOT / "edge" / "data"
    files = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    assert {"demo.msk", "demo/walk.mot", "demo/trials.toml", "models/leg9.json", POPULATION} <= files
    assert sum((data / name).stat().st_size for name in files - {POPULATION}) < LARGEST_DATA_BYTES
    assert (data / POPULATION).stat().st_size < LARGEST_POPULATION_BYTES


def test_the_credits_of_the_packaged_model_are_in_the_notice() -> None:
    # CC BY 3.0 asks for it.
    assert "by Ajay Seth" in text("edge/data/models/leg9.json")
    notice = text("NOTICE")
    assert "Ajay Seth" in notice
    assert "https://creativecommons.org/licenses/by/3.0/" in notice


def test_no_recording_is_in_the_repository(data: Path) -> None:
    ours: dict[int, dict[str, Path]] = {}
    for path in checkout_files():
        if path.stat().st_size:
            ours.setdefault(path.stat().st_size, {})[hashlib.sha256(path.read_bytes()).hexdigest()] = path
    copies = [
        f"{ours[size][digest].relative_to(ROOT)} is {path.relative_to(data)}"
        for path in data.rglob("*")
        # Only where the size is the same can the content be.
        if path.is_file() and (size := path.stat().st_size) in ours
        if (digest := hashlib.sha256(path.read_bytes()).hexdigest()) in ours[size]
    ]
    assert not copies


def test_the_console_script_lists_every_command() -> None:
    script = Path(sys.executable).parent / "edge-msk"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.stdout, flags=re.MULTILINE), name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_shows_an_example_of_itself(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0, done.stderr
    _, examples = re.split(r"^ *Examples?:$", done.stdout, maxsplit=1, flags=re.MULTILINE)
    assert f"edge-msk {name} " in examples


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(str(node.module))
    return names


def offenders(folder: str, forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for name in sorted(imported(path))
        if name.partition(".")[0] in forbidden
    ]


def test_imports_point_one_way() -> None:
    assert not offenders("edge", {"torch", "onnx", "onnxscript", "opensim", "train", "calibrate", "tools"})
    assert not offenders("train", {"calibrate", "tools"})


def test_the_wheel_holds_the_packages_and_their_data_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", tmp_path, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"edge_msk-{edge.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, f"edge_msk-{edge.__version__}.dist-info"}
    data = ROOT / "edge" / "data"
    files = {path.relative_to(ROOT).as_posix() for path in data.rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("edge/data/")} == files
    licences = {name.rpartition("/")[2] for name in names if "dist-info/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}
