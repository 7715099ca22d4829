"""The README doesn't lie: every block runs, every command is documented, the example runs."""

import json
import re
import runpy
import shlex
from pathlib import Path

import click
import h5py
import matplotlib as mpl
import mmsegmentation_files
import numpy as np
import pytest
import torch

from erfscope.cli.main import COMMANDS, cli
from erfscope.zoo.build import build_network
from erfscope.zoo.catalog.entries import describe_network

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
#: What runs here on smaller backbones, in half a minute instead of more than one.
SMALLER = {
    "erfscope compute --model deeplabv3 --data cityscapes": [
        "--backbone",
        "resnet18-small",
        "--output-stride",
        "8",
    ],
    "erfscope predict --model deeplabv3": ["--backbone", "resnet18"],
    "erfscope sweep": ["--backbone", "resnet18-small", "--output-stride", "8"],
}
ELSEWHERE = ("erfscope models --json",)  # run in test_commands.py


@pytest.mark.representative
def test_every_command_is_documented():
    for command in COMMANDS:
        assert re.search(rf"\berfscope {command}\b|`{command}`", README), command


def command_lines():
    """The lines of the README that call `erfscope`, as lists of words."""
    lines = [line for language, block in BLOCKS if language == "sh" for line in block.strip().splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("erfscope ")]


@pytest.mark.representative
@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_line_is_understood(words):
    """Commands, options and choices exist; nothing is carried out."""
    command, context = cli, None
    while isinstance(command, click.Group) and not words[1].startswith("-"):
        context = command.make_context(words[0], words[1:], parent=context)
        words = words[1:]
        command = command.get_command(context, words[0])
    command.make_context(words[0], words[1:], parent=context)


@pytest.mark.representative
def test_there_are_command_lines():
    assert len(command_lines()) > 30


@pytest.mark.slow
def test_every_block_runs(run, photos):
    np.save("array.npy", np.random.default_rng(0).random((193, 193)))
    network = build_network(describe_network("fcn", backbone="resnet18"))
    torch.save(network.state_dict(), "weights.pth")
    mmsegmentation_files.write("deeplabv3_r18.pth", mmsegmentation_files.build())
    ran = 0
    for language, block in BLOCKS:
        if language == "toml":  # its first line names the file: `# plan.toml`
            first, _, _ = block.partition("\n")
            Path(first.removeprefix("#").strip()).write_text(block)
            continue
        if language == "python":
            with mpl.rc_context():
                exec(compile(block, "README.md", "exec"), {})
            ran += 1
            continue
        assert language == "sh", f"a {language} block would not be tested"
        for line in block.strip().splitlines():
            program, *args = shlex.split(line)
            if program == "make":
                assert re.search(rf"^{args[0]}:", (TOP / "Makefile").read_text(), flags=re.MULTILINE)
                continue
            assert program == "erfscope"
            if line in ELSEWHERE:
                continue
            args += next((more for start, more in SMALLER.items() if line.startswith(start)), [])
            result = run(*args)
            assert result.code == 0, f"{line}\n{result.err}"
            ran += 1
    assert ran > 15
    # The bare command took the dataset's crop and classes, and every image of val.
    with h5py.File("erf.h5") as file:
        assert file["erf"].shape == (769, 769)
        assert file.attrs["images"] == 4
        options = json.loads(file["provenance/network"][()])["options"]
    assert (options["num_classes"], options["rates"]) == (19, [12, 24, 36])


@pytest.mark.slow
def test_first_map(here):
    runpy.run_path(str(TOP / "examples" / "first_map.py"))
    assert (here / "first_map.png").stat().st_size > 10_000
    assert (here / "first_map.h5").exists()


def test_images_needed(here, small_map, monkeypatch, capsys):
    small_map.save("small.h5")
    monkeypatch.setattr("sys.argv", ["images_needed.py", "small.h5"])
    runpy.run_path(str(TOP / "examples" / "images_needed.py"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("small.h5: 20 images")
    assert [line.split()[0] for line in lines[1:4]] == ["map"] * 3
    few, _, many = (int(line.split()[-2].replace(",", "")) for line in lines[1:4])
    assert many == pytest.approx(100 * few, abs=100)  # 1 % and 10 %, each rounded up
