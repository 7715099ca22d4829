"""The wheel in an environment of its own, with the lowest versions that the project declares."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.timeout(1200)  # it fills an environment

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
CONSTRAINTS = dict(
    line.split("==") for line in (TOP / "constraints.txt").read_text().splitlines() if "==" in line
)


def call(*command, cwd, **more):
    """Run a command away from the checkout, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, TOP, cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


def test_it_holds_all_files_of_the_package(wheel):
    package = TOP / "erfscope"
    expected = {
        path.relative_to(TOP).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "erfscope/py.typed" in expected
    assert expected <= set(zipfile.ZipFile(wheel).namelist())


def lowest():
    """The declared floors, as exact requirements; torch's floor is what all tests run on."""
    named = [re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", each).groups() for each in PROJECT["dependencies"]]
    floors = dict(named)
    assert CONSTRAINTS["torch"].startswith(floors.pop("torch"))
    return [f"torch=={CONSTRAINTS['torch']}", *(f"{name}=={version}" for name, version in floors.items())]


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Install the wheel with the lowest versions; where no package index answers, it fails."""
    folder = tmp_path_factory.mktemp("bare")
    call(sys.executable, "-m", "venv", folder, cwd=folder)
    bare = folder / "bin" / "python"
    # torch is the same as here, and takes longest to unpack.
    (packages,) = folder.glob("lib/python*/site-packages")
    for part in ("torch", "torchgen", "functorch", metadata.distribution("torch")._path.name):
        (packages / part).symlink_to(Path(torch.__file__).parents[1] / part)
    mypy = f"mypy=={CONSTRAINTS['mypy']}"
    call(bare, "-m", "pip", "install", "--quiet", "--no-compile", wheel, *lowest(), mypy, cwd=folder)
    return bare


EVERY_COMMAND = """
import click
from erfscope.cli.main import COMMANDS, cli
for name in COMMANDS:
    command = cli.get_command(click.Context(cli), name)
    assert command.get_help(click.Context(command, info_name=name))
"""


@pytest.mark.skipif(
    sys.version_info[:2] > (3, 11), reason="the lowest versions have wheels for the lowest Python"
)
def test_the_lowest_declared_versions_suffice(python, tmp_path):
    script = TOP / "tests" / "helpers" / "user_script.py"
    (tmp_path / "script.py").write_text(script.read_text())
    assert "site-packages" in call(python, "-c", "import erfscope; print(erfscope.__file__)", cwd=tmp_path)
    assert "Commands:" in call(python, "-m", "erfscope", "--help", cwd=tmp_path)
    call(python, "-c", EVERY_COMMAND, cwd=tmp_path)
    call(python, "-m", "erfscope", "demo", "--images", "1", "--size", "129", "--out", "demo", cwd=tmp_path)
    call(python, "script.py", cwd=tmp_path)
    call(python, "-m", "mypy", "--strict", "script.py", cwd=tmp_path)
