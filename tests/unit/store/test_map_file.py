"""The file: what other programs see in it, and that it is whole or not there."""

import json
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import erfscope
from erfscope.errors import MapError
from erfscope.records.shard import Shard
from erfscope.store.read import read_progress
from erfscope.store.write import bytes_for, image_list_sha256


@pytest.fixture
def map_file(small_map, tmp_path):
    path = tmp_path / "erf.h5"
    small_map.save(path)
    return path


def test_everything_comes_back(small_map, map_file):
    again = erfscope.load_erf(map_file)
    for field in fields(small_map):
        ours, theirs = getattr(small_map, field.name), getattr(again, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
        elif field.name == "provenance":
            assert theirs == json.loads(json.dumps(ours))
        else:
            assert ours == theirs, field.name
    again.save(map_file.with_name("again.h5"))


@pytest.mark.parametrize("engine", [None, "h5netcdf"])
def test_xarray_opens_the_root(small_map, map_file, engine):
    with xarray.open_dataset(map_file, engine=engine) as data:
        assert data["erf"].dims == ("y", "x")
        assert data["replicates"].dims == ("g", "y", "x")
        assert set(data.data_vars) == {"erf", "gradient_sum", "gradient_square_sum", "replicates"}
        assert (
            float(data["erf"].sel(y=0, x=0)) == small_map.erf[16, 20]
        )  # the unit is the axes' projected_center
        assert data.attrs["images"] == 20


def test_layout_for_h5web_and_silx(map_file):
    with h5py.File(map_file) as file:
        assert file.attrs["NX_class"] == "NXroot"
        plot = file[file.attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        signal = plot[plot.attrs["signal"]]
        assert signal == file["erf"]
        assert signal.dtype == np.float64
        for axis, size in zip(plot.attrs["axes"], signal.shape, strict=True):
            assert plot[axis].shape == (size,)
        assert json.loads(plot.attrs["SILX_style"])["signal_scale_type"] == "log"
        assert file["replicates"].dtype == np.float32
        for name in ("erf", "gradient_sum", "gradient_square_sum", "replicates"):
            assert all(len(dimension) == 1 for dimension in file[name].dims)
        assert all(isinstance(item, (h5py.Dataset, h5py.Group)) for item in file.values())


def test_provenance(map_file):
    with h5py.File(map_file) as file:
        images = file["provenance/images"]
        names = list(images["name"].asstr())
        assert names == [f"image-{i:05d}" for i in range(20)]
        assert images.attrs["sha256"] == image_list_sha256(names)
        assert set(images["status"].asstr()) == {"done"}
        assert (images["gradient_mass"][()] > 0).all()
        assert set(file["provenance"]) >= {
            "command",
            "versions",
            "weights",
            "dataset",
            "engine",
            "host",
            "network",
        }
        assert json.loads(file["provenance/weights"][()])["source"] == "as given"


def test_an_existing_file_is_kept_unless_overwriting(small_map, map_file):
    before = map_file.read_bytes()
    with pytest.raises(MapError, match="exists already.*--overwrite"):
        small_map.save(map_file)
    assert map_file.read_bytes() == before
    small_map.save(map_file, overwrite=True)


def test_folders_are_made(small_map, tmp_path):
    small_map.save(tmp_path / "new" / "deep" / "erf.h5")
    assert erfscope.load_erf(tmp_path / "new" / "deep" / "erf.h5").images == 20


def test_a_folder_or_a_file_in_the_way(small_map, tmp_path):
    with pytest.raises(MapError, match="is a folder"):
        small_map.save(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(MapError, match="can't write to folder"):
        small_map.save(tmp_path / "file" / "erf.h5")


def test_too_little_space_is_seen_before_the_work(small_map, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: os.terminal_size((1000, 1000)))
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000})())
    with pytest.raises(MapError, match=r"0.0 MB free, erf.h5 needs 0.2 MB"):
        small_map.save(tmp_path / "erf.h5")
    assert not list(tmp_path.iterdir())


def test_the_expected_size_is_that_of_an_unfinished_map(small_map, tmp_path):
    unfinished = replace(small_map, replicates=small_map.replicates.astype(np.float64), finished=False)
    unfinished.save(tmp_path / "part.h5")
    expected = bytes_for(small_map.size, 16, images=20)
    taken = (tmp_path / "part.h5").stat().st_size
    assert taken <= expected <= taken + 100_000
    again = erfscope.load_erf(tmp_path / "part.h5")
    assert again.replicates.dtype == np.float64
    assert not again.finished


def test_how_far_a_map_is_can_be_read_alone(small_map, tmp_path):
    assert read_progress(tmp_path / "none.h5") is None
    replace(small_map, images_total=50, shard=Shard(1, 3), finished=False).save(tmp_path / "part.h5")
    found = read_progress(tmp_path / "part.h5")
    assert (found.done, found.skipped, found.images_total, found.finished) == (20, 0, 50, False)
    assert (found.shard, found.total) == (Shard(1, 3), 17)


def test_a_single_damaged_byte_is_told(map_file):
    content = bytearray(map_file.read_bytes())
    for place in range(0, len(content) - 48, len(content) // 50):  # not in the mark of the checksum itself
        content[place] ^= 0x10
        map_file.write_bytes(content)
        with pytest.raises(MapError, match="not a readable map"):
            erfscope.load_erf(map_file)
        content[place] ^= 0x10
    map_file.write_bytes(content)
    erfscope.load_erf(map_file)


def test_a_map_that_another_program_changed_has_no_checksum(map_file):
    with h5py.File(map_file, "a") as file:
        file["mine"] = np.arange(100)
        file["erf"][0, 0] = 7.0
    assert erfscope.load_erf(map_file).erf[0, 0] == 7.0


FULL_DISK = """
import resource, signal, sys
import erfscope
erf = erfscope.load_erf(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit then fails as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    erf.save(sys.argv[1], overwrite=True)
except erfscope.ErfscopeError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resource limits are POSIX's")
def test_a_disk_that_fills_up_leaves_the_old_file(map_file):
    before = map_file.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(map_file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"can't write {map_file}" in done.stdout
    assert "free some space" in done.stdout
    assert map_file.read_bytes() == before
    assert list(map_file.parent.iterdir()) == [map_file]


def test_a_crash_while_writing_leaves_the_old_file(small_map, map_file, monkeypatch):
    before = map_file.read_bytes()

    def crash(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("erfscope.store.write._write_plot", crash)
    with pytest.raises(KeyboardInterrupt):
        small_map.save(map_file, overwrite=True)
    assert map_file.read_bytes() == before
    assert list(map_file.parent.iterdir()) == [map_file]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; make one with 'erfscope compute'"),
        (b"", "not a readable map"),
        (b"PNG but not really", "not a readable map"),
    ],
)
def test_files_that_are_no_maps(tmp_path, content, message):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MapError, match=message) as caught:
        erfscope.load_erf(path)
    assert "\n" not in str(caught.value)


def test_foreign_and_newer_hdf5(tmp_path, map_file):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["erf"] = np.ones((4, 4))
    with pytest.raises(MapError, match="not a map of erfscope's"):
        erfscope.load_erf(tmp_path / "foreign.h5")
    with h5py.File(map_file, "a") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(MapError, match="newer than 2; update erfscope"):
        erfscope.load_erf(map_file)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_maps(map_file, share):
    content = map_file.read_bytes()
    Path(map_file).write_bytes(content[: int(share * len(content))])
    with pytest.raises(MapError, match="not a readable map"):
        erfscope.load_erf(map_file)
