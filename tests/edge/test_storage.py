import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EdgeMskError, FileError, TrialError
from edge.storage import atomic_file, read_table, write_sto, write_text

HEADER = "Coordinates\nversion=1\nnRows={rows}\nnColumns=3\ninDegrees=yes\n\nendheader\n"
BODY = "time\tangle\tempty\n0.0\t1.5\tnan\n0.1\t-2.5e1\t3\n0.2\t0\t4\n"
GOOD = HEADER.format(rows=3) + BODY


def put(folder: Path, text: str | bytes, name: str = "trial.mot") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path) -> str:
    """The one-line error that reading the file gives; it names the file."""
    with pytest.raises(EdgeMskError) as error:
        read_table(path)
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    return text


def test_reads_a_table(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, GOOD))
    assert table.columns == ("angle", "empty")
    assert table.in_degrees is True
    np.testing.assert_array_equal(table.time_s, [0.0, 0.1, 0.2])
    np.testing.assert_array_equal(table.column("angle"), [1.5, -25.0, 0.0])


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("endheader", "EndHeader"),
        GOOD.replace("time", "Time"),
        GOOD.replace("\t", "    "),
        GOOD.replace("endheader\n", "endheader\n\n\n"),
        GOOD + "\n\n",
        GOOD.replace("inDegrees=yes", "inDegrees = Yes"),
    ],
    ids=["crlf", "bom", "case", "Time", "spaces", "blank-lines", "trailing", "spaces-in-header"],
)
def test_reads_the_variants_that_exist(tmp_path: Path, text: str) -> None:
    table = read_table(put(tmp_path, text))
    np.testing.assert_array_equal(table.column("angle"), [1.5, -25.0, 0.0])
    assert table.in_degrees is True


def test_degrees_of_the_header(tmp_path: Path) -> None:
    assert read_table(put(tmp_path, GOOD.replace("=yes", "=no"))).in_degrees is False
    assert read_table(put(tmp_path, GOOD.replace("inDegrees=yes\n", ""))).in_degrees is None
    simm = GOOD.replace("inDegrees=yes\n", "# SIMM Motion File Header:\n")
    assert read_table(put(tmp_path, simm)).in_degrees is True  # as OpenSim reads it
    assert "inDegrees=yes or inDegrees=no" in refused(put(tmp_path, GOOD.replace("=yes", "=maybe")))


def test_reads_csv(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, 'time, hip_deg ,"knee, left"\n0,1,2\n\n0.5,,4\n', "trial.csv"))
    assert table.columns == ("hip_deg", "knee, left")
    assert table.in_degrees is None
    np.testing.assert_array_equal(table.column("knee, left"), [2.0, 4.0])
    assert np.isnan(table.raw("hip_deg")[1])


def test_missing_file(tmp_path: Path) -> None:
    assert "No such file or directory" in refused(tmp_path / "no.mot")


def test_directory_given_as_file(tmp_path: Path) -> None:
    (tmp_path / "folder.mot").mkdir()
    assert "Is a directory" in refused(tmp_path / "folder.mot")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = put(tmp_path, GOOD)
    path.chmod(0)
    assert "Permission denied" in refused(path)


def test_path_with_a_nul() -> None:
    with pytest.raises(FileError, match="cannot be read"):
        read_table(Path("a\0b.mot"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no line 'endheader'"),
        ("endheader", "ends after its header"),
        (HEADER.format(rows=3), "ends after its header"),
        (GOOD.replace("endheader\n", ""), "no line 'endheader'"),
        (HEADER.format(rows=3) + "time\tangle\tempty\n", "announces 3 rows, the file holds 0"),
        ("endheader\ntime\ta\n", "holds 0 rows"),
        ("endheader\ntime\ta\n0\t1\n", "holds 1 rows"),
        (GOOD[: GOOD.index("0.2")], "announces 3 rows, the file holds 2"),
        (GOOD[:-3], r"line 11 has 2 values for 3 columns"),
        (GOOD.replace("\t3\n", "\t3\t9\n"), "line 10 has 4 values for 3 columns"),
        (GOOD.replace("-2.5e1", "abc"), "line 10, column 'angle': 'abc' is not a number"),
        (GOOD.replace("-2.5e1", "1,5"), r"'1,5' is not a number: mend the file \(decimals are written with a point\)"),
        (GOOD.replace("time", "t"), "the first column is 't', not 'time'"),
        (GOOD.replace("0.1\t", "nan\t"), "time column holds values that are not numbers"),
        (GOOD.replace("0.1\t", "inf\t"), "time column holds values that are not numbers"),
        (GOOD.replace("0.1\t", "0.0\t"), r"time does not increase at row 2 \(0 s, then 0 s\)"),
        (GOOD.replace("0.2\t", "0.05\t"), r"time does not increase at row 3 \(0.1 s, then 0.05 s\)"),
    ],
)
def test_malformed_table(tmp_path: Path, text: str, said: str) -> None:
    path = put(tmp_path, text)
    refused(path)
    with pytest.raises(EdgeMskError, match=said):
        read_table(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("time,a\n0,1\n1\n", "line 3 has 1 values for 2 columns"),
        ("time,a\n\n0,1\n1,x\n", "line 4, column 'a': 'x' is not a number"),
        ("time;a\n0;1\n1;2\n", "its values are not separated by commas"),
        ("0,1\n1,2\n", "the first column is '0'"),
        ("time,a\n" + "9" * 200_000 + ",1\n", "not a table of comma-separated values"),
    ],
)
def test_malformed_csv(tmp_path: Path, text: str, said: str) -> None:
    path = put(tmp_path, text, "trial.csv")
    assert said in refused(path)


@pytest.mark.parametrize("suffix", [".mot", ".sto", ".csv"])
@pytest.mark.parametrize(
    "garbage", [bytes(range(256)) * 20, b"\0" * 500, b"\x89PNG\r\n\x1a\n" + b"\xff" * 100, b"PK\3\4ab"]
)
def test_binary_garbage(tmp_path: Path, suffix: str, garbage: bytes) -> None:
    refused(put(tmp_path, garbage, f"trial{suffix}"))


@pytest.mark.parametrize("name", ["trial.c3d", "trial.TRC"])
def test_markers_are_no_angles(tmp_path: Path, name: str) -> None:
    assert "holds markers, no joint angles: name the person's OpenSim model as `osim`" in refused(
        put(tmp_path, GOOD, name)
    )


@pytest.mark.parametrize("name", ["trial.txt", "trial"])
def test_unknown_kind(tmp_path: Path, name: str) -> None:
    assert "unknown kind of file" in refused(put(tmp_path, GOOD, name))


@settings(max_examples=300, deadline=None)
@given(cut=st.integers(0, len(GOOD)), insert=st.binary(max_size=8), csv=st.booleans())
def test_damage_gives_a_table_or_one_of_our_errors(
    tmp_path_factory: pytest.TempPathFactory, cut: int, insert: bytes, csv: bool
) -> None:
    text = GOOD.encode() if not csv else b"time,angle,empty\n0.0,1.5,1\n0.1,2,3\n"
    path = put(tmp_path_factory.getbasetemp(), text[:cut] + insert, "damaged.csv" if csv else "damaged.mot")
    try:
        table = read_table(path)
    except EdgeMskError:
        return
    assert np.isfinite(table.time_s).all()
    assert (np.diff(table.time_s) > 0).all()


def test_column_that_is_missing_repeated_or_not_a_number(tmp_path: Path) -> None:
    table = read_table(put(tmp_path, GOOD.replace("empty", "angle")))
    with pytest.raises(TrialError, match=r"trial.mot: column 'angle' stands 2 times: remove all but one"):
        table.column("angle")  # a file may repeat columns that nobody reads: OpenSim's own do
    table = read_table(put(tmp_path, GOOD))
    with pytest.raises(TrialError, match=r"has no column 'knee': it has angle, empty"):
        table.column("knee")
    with pytest.raises(TrialError, match=r"column 'empty' is not a number at time 0 s \(1 of 3 rows\)"):
        table.column("empty")


def test_long_lists_of_columns_are_cut(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(60)]
    rows = "\n".join("\t".join([str(t), *["0"] * 60]) for t in range(3))
    table = read_table(put(tmp_path, "endheader\n" + "\t".join(["time", *names]) + "\n" + rows + "\n"))
    with pytest.raises(TrialError, match=r"c7 and 52 more$"):
        table.column("knee")


# --- writing


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1e-4, 10), min_size=2, max_size=6), st.floats(0, 2e9))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, steps: list[float], start: float
) -> None:
    """Rows stay apart in time, a clock that counts from 1970 included."""
    path = tmp_path_factory.getbasetemp() / "written.sto"
    time = start + np.cumsum(steps)
    data = np.random.default_rng(0).normal(size=(len(time), 2)) * 1e3
    write_sto(path, "title", ["a", "b"], time, data)
    table = read_table(path)
    np.testing.assert_allclose(table.time_s, time, rtol=1e-14)
    np.testing.assert_allclose(table.data, data, rtol=1e-9)
    assert table.in_degrees is False


def test_opensim_reads_what_is_written(opensim: object, tmp_path: Path) -> None:
    write_sto(
        tmp_path / "a.sto", "edge-msk", ["hip_moment", "b"], np.array([0.0, 0.1]), np.array([[1.0, 2.0], [3.0, 4.0]])
    )
    table = opensim.TimeSeriesTable(str(tmp_path / "a.sto"))  # type: ignore[attr-defined]
    assert list(table.getColumnLabels()) == ["hip_moment", "b"]
    np.testing.assert_array_equal(table.getMatrix().to_numpy(), [[1.0, 2.0], [3.0, 4.0]])


def test_wrong_shape_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write_sto(tmp_path / "a.sto", "t", ["a"], np.zeros(3), np.zeros((2, 1)))
    assert not list(tmp_path.iterdir())


def test_atomic_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "a.txt"
    write_text(path, "one")
    write_text(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize(
    "failure", [RuntimeError("bug"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]
)
def test_atomic_leaves_nothing_behind(tmp_path: Path, failure: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(FileError if isinstance(failure, OSError) else type(failure)) as error:
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    if isinstance(failure, OSError):
        assert (
            str(error.value)
            == f"{path}: cannot be written (No space left on device): free space or choose another folder"
        )


@contextmanager
def small_files() -> Iterator[None]:
    """The system refuses files above 4 KB, as a full disk would. No fixture: pytest's own report may go to such a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk(tmp_path: Path) -> None:
    with small_files(), pytest.raises(FileError, match=r"a.sto: cannot be written \(File too large\)"):
        write_sto(tmp_path / "a.sto", "t", ["a"], np.arange(5000.0), np.zeros((5000, 1)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("where", ["/proc/nowhere/a.sto", "file/a.sto", "folder"])
def test_unwritable_place(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileError, match="cannot be written") as error:
        write_text(tmp_path / where, "text")
    assert str(tmp_path / where) in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="Permission denied"):
        write_text(tmp_path / "a.txt", "text")
