"""Detection: the format, what shows it, and that a file is looked through once."""

from pathlib import Path

import pytest
import torch
from mmsegmentation_files import build, write
from small_networks import SmallNet, seeded

import erfscope
from erfscope.checkpoints.detect import detect, detect_by_name
from erfscope.checkpoints.files import archive_scan
from erfscope.checkpoints.request import Request


@pytest.mark.parametrize(
    ("spec", "format_", "detected_by"),
    [
        ("fcn", "catalog", "its name"),
        ("torchvision:fcn_resnet50", "torchvision", "the prefix torchvision:"),
        ("timm:resnet18", "timm", "the prefix timm:"),
        ("small_networks:SmallNet", "factory", "module:function"),
    ],
)
def test_names(spec, format_, detected_by):
    detection = detect_by_name(Request(spec))
    assert (detection.format, detection.detected_by) == (format_, detected_by)
    assert detect(Request(spec)) == detection


@pytest.fixture
def outlined(monkeypatch):
    """Record the pickles that are outlined."""
    read, times = archive_scan.read_outline, []

    def count(file):
        times.append(file)
        return read(file)

    monkeypatch.setattr(archive_scan, "read_outline", count)
    return times


@pytest.fixture
def opened(monkeypatch):
    """Record the .pth files that Python opens by their paths; torch opens its own otherwise."""
    open_, paths = Path.open, []

    def record(path, *arguments, **named):
        if path.suffix == ".pth":
            paths.append(path)
        return open_(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", record)
    return paths


@pytest.mark.parametrize(("zipped", "pickles"), [(True, 1), (False, 5)])
def test_a_torch_file_is_outlined_once(zipped, pickles, outlined, opened, tmp_path):
    path = write(tmp_path / "w.pth", build())
    content = torch.load(path, weights_only=False)
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    opened.clear()
    detection = detect(Request(str(path)))
    assert (detection.format, detection.detected_by) == ("mmsegmentation", "the config in its meta")
    assert opened == [path]
    info = erfscope.load_model(str(path)).info
    assert info.detected_by == detection.detected_by
    assert len(outlined) == 2 * pickles  # once by each of the two calls above
    assert opened == [path] * 3  # load_model scans the file and hashes it


def test_a_whole_module_is_outlined_once(outlined, tmp_path):
    torch.save(seeded(SmallNet()), tmp_path / "w.pth")
    info = erfscope.load_model(str(tmp_path / "w.pth"), trust=True).info
    assert info.detected_by == "the class small_networks.SmallNet in its pickle"
    assert len(outlined) == 1
