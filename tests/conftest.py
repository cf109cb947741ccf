"""What all tests share: the recordings beside the repository, and OpenSim as an oracle.

Both may be missing on a developer's machine: the tests that need them skip with a reason. Where EDGE_MSK_REQUIRE_DATA=1 is
set (.ci/run sets it), they fail instead.
"""

from __future__ import annotations

import importlib
import os
import signal
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).resolve().parent.parent


def _absent(reason: str) -> None:
    if os.environ.get("EDGE_MSK_REQUIRE_DATA") == "1":
        pytest.fail(f"{reason} (EDGE_MSK_REQUIRE_DATA=1 requires it)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell starts what it runs in the background with Ctrl-C ignored, and what that starts inherits it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before -m deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of recordings. Read only: nothing of it may end up in the repository."""
    folder = Path(os.environ.get("EDGE_MSK_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        _absent(f"no recordings at {folder}: set EDGE_MSK_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def opensim() -> ModuleType:
    """The real OpenSim, quiet."""
    try:
        module = importlib.import_module("opensim")
    except ImportError:
        _absent("OpenSim is not installed: pip install 'edge-msk[opensim]'")
    module.Logger.removeFileSink()
    module.Logger.setLevelString("Error")
    return module


@pytest.fixture(scope="session")
def oracle(opensim: ModuleType) -> ModuleType:
    """`tools.opensim_oracle`: OpenSim's inverse dynamics and static optimisation of a trial."""
    return importlib.import_module("tools.opensim_oracle")
