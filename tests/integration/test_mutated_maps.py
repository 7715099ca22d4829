"""Damaged map files end in one line, whatever is done with them."""

import random

import numpy as np
import pytest

COMMANDS = {
    "merge": ("merge", "{}", "good.h5", "--out", "merged.h5"),
    "inspect": ("inspect", "{}"),
    "plot": ("plot", "{}", "--out", "figure.png"),
    "star-distance": ("star-distance", "{}"),
}
FILES = 50  # for each command


def mutate(content: bytes, draw: random.Random) -> bytes:
    """Flip, overwrite, cut out, double or cut off a piece of the content."""
    data = bytearray(content)
    place, length = draw.randrange(len(data)), draw.choice((1, 8, 64, 4096))
    kind = draw.choice(("flip", "zeros", "noise", "remove", "insert", "cut"))
    if kind == "flip":
        data[place] ^= 1 << draw.randrange(8)
    elif kind == "zeros":
        data[place : place + length] = bytes(len(data[place : place + length]))
    elif kind == "noise":
        data[place : place + length] = draw.randbytes(len(data[place : place + length]))
    elif kind == "remove":
        del data[place : place + length]
    elif kind == "insert":
        data[place:place] = draw.randbytes(length)
    else:
        del data[place:]
    return bytes(data)


@pytest.mark.parametrize("name", COMMANDS)
def test_mutated_maps_are_refused_in_one_line(run, here, small_map, name):
    small_map.save("good.h5")
    good, draw = (here / "good.h5").read_bytes(), random.Random(name)
    for number in range(FILES):
        content = mutate(good, draw)
        if content == good:  # zeros upon zeros
            continue
        (here / "bad.h5").write_bytes(content)
        result = run(*(part.format("bad.h5") for part in COMMANDS[name]))
        assert result.code == 2, f"{name} of file {number}"
        assert result.err.count("\n") == 1
        assert result.out == ""
        assert "bad.h5" in result.err


def test_what_lies_behind_the_checksum_is_still_checked_by_shape(run, here, small_map):
    """A file that another program rewrote has no checksum, and may hold anything."""
    import h5py

    for name, spoil in {
        "shape": lambda file: file.__delitem__("replicates") or file.create_dataset("replicates", data=[1.0]),
        "type": lambda file: file.__delitem__("erf") or file.create_dataset("erf", data=np.bytes_(b"x")),
        "json": lambda file: file["provenance"].__setitem__("mine", np.bytes_(b"{")),
        "records": lambda file: file["provenance/images"].__delitem__("group"),
    }.items():
        small_map.save("bad.h5", overwrite=True)
        with h5py.File("bad.h5", "a") as file:
            spoil(file)
        for command in COMMANDS.values():
            result = run(*(part.format("bad.h5") for part in command if part != "good.h5"))
            assert result.code == 2, (name, command, result.err)
            assert result.err.count("\n") == 1
