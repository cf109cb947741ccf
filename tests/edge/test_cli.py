from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edge import cli
from edge.errors import ConfigError

HEAVY = ("numpy", "onnxruntime", "pydantic", "mcap", "rich", "torch", "train", "tools")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> type:
    """A subcommand whose body a test can choose."""

    class Holder:
        @staticmethod
        def raises(error: BaseException) -> None:
            @click.command()
            def made() -> None:
                raise error

            monkeypatch.setattr(cli, "probe", made, raising=False)

    monkeypatch.setitem(cli.COMMANDS, "probe", ("edge.cli:probe", "A test."))
    return Holder


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.cli, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom edge.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as done:\n    assert done.code == 0\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(cli.__file__).parent.parent
    )
    assert done.returncode == 0, done.stderr
    for name, (_, text) in cli.COMMANDS.items():
        assert name in done.stdout
        assert text.split()[0] in done.stdout


def test_targets_are_written_as_module_and_attribute() -> None:
    for target, text in cli.COMMANDS.values():
        module, colon, attribute = target.partition(":")
        assert module
        assert colon
        assert attribute.isidentifier()
        assert text.endswith(".")


@pytest.mark.parametrize("name", ["run", "replay"])
def test_every_command_has_help_with_an_example(name: str) -> None:
    code, out, _ = invoke(name, "--help")
    assert code == 0
    assert f"edge-msk {name}" in out.partition("Example:")[2]
    assert "--json" in out


def test_version() -> None:
    assert invoke("--version") == (0, "edge-msk, version 0.1.0\n", "")


@pytest.mark.parametrize("arguments", [("nonsense",), ("run", "--nonsense"), ("run",)])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err


def test_our_errors_are_one_line_and_exit_code_1(command: type) -> None:
    command.raises(ConfigError("x.toml: key `a`: is wrong: mend it"))
    assert invoke("probe") == (1, "", "error: x.toml: key `a`: is wrong: mend it\n")


def test_each_wrong_key_has_its_line(command: type) -> None:
    command.raises(ConfigError("x.toml: one\nx.toml: two"))
    assert invoke("probe") == (1, "", "error: x.toml: one\nerror: x.toml: two\n")


def test_a_missing_extra_names_the_installation(command: type) -> None:
    command.raises(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"))
    assert invoke("probe") == (
        1,
        "",
        "error: edge-msk probe needs the package 'torch': install it with  pip install 'edge-msk[train]'\n",
    )


def test_a_missing_extra_is_named_when_the_command_itself_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "needs_opensim.py").write_text("import opensim\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "opensim", None)
    monkeypatch.setitem(cli.COMMANDS, "probe", ("needs_opensim:command", "A test."))
    code, _, err = invoke("probe")
    assert code == 1
    assert (
        err == "error: edge-msk probe needs the package 'opensim': install it with  pip install 'edge-msk[opensim]'\n"
    )


def test_any_other_import_error_is_a_bug_and_shows(command: type) -> None:
    command.raises(ImportError("broken", name="edge.nonsense"))
    result = CliRunner().invoke(cli.cli, ["probe"])
    assert isinstance(result.exception, ImportError)


def test_an_interrupt_is_one_line(command: type) -> None:
    command.raises(KeyboardInterrupt())
    assert invoke("probe") == (1, "", "error: stopped by the user\n")


def test_a_bug_shows_its_traceback(command: type) -> None:
    command.raises(ZeroDivisionError())
    assert isinstance(CliRunner().invoke(cli.cli, ["probe"]).exception, ZeroDivisionError)


def test_main_exits_with_0() -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["--version"])
    assert done.value.code == 0


def test_matrix_products_are_not_shared_among_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their last bits would depend on how many there are, and a replay with them."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
