from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from edge.errors import FileError
from train.writable import require_writable


def test_what_cannot_be_written_is_said_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a permission tells: root has them all, and still cannot write into /proc."""
    bundle = tmp_path / "subject.msk"
    bundle.write_bytes(b"the one before")
    for good in (bundle, tmp_path / "new" / "folder" / "subject.msk"):
        require_writable(good)
    bundle.chmod(0o400)
    require_writable(bundle)  # another may take its place
    (tmp_path / "folder.msk").mkdir()
    bad = [tmp_path / "folder.msk", bundle / "subject.msk", tmp_path / f"{'long' * 64}.msk"]
    for path in [*bad, *([Path("/proc/subject.msk")] if sys.platform == "linux" else [])]:
        with pytest.raises(FileError, match="cannot be written there"):
            require_writable(path)

    def immutable(*_: object) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr("train.writable.os.open", immutable)
        patch.setattr("train.writable.tempfile.mkstemp", lambda **_: (os.dup(0), str(tmp_path / "probe")))
        (tmp_path / "probe").write_text("")
        with pytest.raises(FileError, match="immutable"):
            require_writable(bundle)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.msk", "subject.msk"]
    assert bundle.read_bytes() == b"the one before"
