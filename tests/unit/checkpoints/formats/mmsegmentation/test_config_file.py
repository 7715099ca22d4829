"""Config files: inheritance as mmengine has it, nothing ever run.

mmengine 0.10.7 reads the same from the files below, but for `_delete_` of `neck`, which no base has: it
leaves that in the neck, which can't be built then.
"""

import json

import pytest

from erfscope.checkpoints.formats.mmsegmentation.config_file import MAX_FILES, read_config
from erfscope.errors import CheckpointError

FILES = {
    "_base_/model.py": """
norm_cfg = dict(type='SyncBN', requires_grad=True)
data_preprocessor = dict(type='SegDataPreProcessor', mean=[1, 2, 3], size=None)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict(type='ResNet', depth=50, norm_cfg=norm_cfg, dilations=(1, 1, 2, 4)),
    decode_head=dict(type='ASPPHead', dilations=(1, 12, 24, 36), loss=dict(type='CE', weight=1.0)),
    auxiliary_head=[dict(type='FCNHead', in_index=2), dict(type='FCNHead', in_index=3)])
""",
    "_base_/data.py": """
crop_size = (512, 1024)
train_pipeline = [dict(type='Load'), dict(type='RandomCrop', crop_size=crop_size)]
train_dataloader = dict(batch_size=2, dataset=dict(type='CityscapesDataset', pipeline=train_pipeline))
""",
    "_base_/run.py": """
log_level = 'INFO'
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
""",
    "net/parent.py": """
_base_ = ['../_base_/model.py', '../_base_/data.py', '../_base_/run.py']
model = dict(decode_head=dict(num_classes=19))
""",
    "net/child.py": """
_base_ = './parent.py'
crop_size = (769, 769)
data_preprocessor = dict(size=crop_size)
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(depth=101),
    decode_head=dict(dilations=(1, 6), loss=dict(_delete_=True, type='Dice')),
    auxiliary_head=dict(_delete_=True, type='FCNHead'),
    neck=dict(_delete_=True, type='FPN'))
optim_wrapper = dict(_delete_=True, type='AmpOptimWrapper', nested=dict(a=1))
""",
    "net/reading.py": """
_base_ = ['parent.py']
classes = _base_.model.decode_head.num_classes
kind = {{_base_.model.decode_head.type}}
pipeline = [*_base_.train_pipeline[:1], dict(type='Flip')]
_base_.model.update(backbone=dict(depth=18), pretrained=None)
_base_.train_pipeline[1]['crop_size'] = (3, 3)
_base_.log_level = 'DEBUG'
train_dataloader = dict(dataset=dict(pipeline={{ _base_.train_pipeline }}))
here = '{{ fileDirname }}/{{fileBasename}} {{ fileBasenameNoExtension }} {{ fileExtname }}'
_deprecation_ = dict(expected='other.py')
""",
}


@pytest.fixture
def configs(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_grandchild_of_three(configs):
    read = read_config(configs / "net/child.py")
    assert read["crop_size"] == (769, 769)
    assert read["model"] == {
        "type": "EncoderDecoder",
        "data_preprocessor": {"type": "SegDataPreProcessor", "mean": [1, 2, 3], "size": (769, 769)},
        "backbone": {
            "type": "ResNet",
            "depth": 101,
            "norm_cfg": {"type": "SyncBN", "requires_grad": True},
            "dilations": (1, 1, 2, 4),
        },
        "decode_head": {"type": "ASPPHead", "dilations": (1, 6), "loss": {"type": "Dice"}, "num_classes": 19},
        "auxiliary_head": {"type": "FCNHead"},
        "neck": {"type": "FPN"},
    }
    assert read["optim_wrapper"] == {"type": "AmpOptimWrapper", "nested": {"a": 1}}
    # What a base worked out from its own names stays as it was.
    assert read["train_pipeline"][1]["crop_size"] == (512, 1024)
    assert read["log_level"] == "INFO"
    assert "_base_" not in read


def test_what_a_child_reads_of_its_base_and_changes_in_it(configs):
    read = read_config(str(configs / "net/reading.py"))
    assert (read["classes"], read["kind"], read["log_level"]) == (19, "ASPPHead", "DEBUG")
    assert read["pipeline"] == [{"type": "Load"}, {"type": "Flip"}]
    assert read["model"]["backbone"]["depth"] == 18
    assert read["model"]["backbone"]["type"] == "ResNet"  # a base's `update` merges
    assert read["model"]["pretrained"] is None
    assert read["train_dataloader"]["batch_size"] == 2
    assert read["train_dataloader"]["dataset"]["pipeline"][1]["crop_size"] == (3, 3)
    assert read["here"] == f"{configs.as_posix()}/net/reading.py reading .py"
    assert "_deprecation_" not in read


def test_json(configs):
    path = configs / "net/config.json"
    path.write_text(json.dumps({"_base_": "./parent.py", "model": {"backbone": {"depth": 18}}, "n": None}))
    read = read_config(path)
    assert read["model"]["backbone"]["depth"] == 18
    assert read["model"]["decode_head"]["num_classes"] == 19
    assert read["n"] is None


REFUSED = {
    "missing base": ({"a.py": "_base_ = './b.py'"}, r"a\.py inherits from .*b\.py, which is no file"),
    "missing": ({}, r"the config .*a\.py, which is no file"),
    "itself": ({"a.py": "_base_ = 'a.py'"}, r"a\.py inherits from itself"),
    "circle": (
        {"a.py": "_base_ = ['b.py']", "b.py": "_base_ = './c.py'", "c.py": "_base_ = '../x/a.py'"},
        r"a\.py inherits from itself; take it out of the _base_ of .*c\.py",
    ),
    "twice": (
        {"a.py": "_base_ = ['b.py', 'c.py']", "b.py": "x = 1", "c.py": "x = 1"},
        r"a\.py: 'x' of c\.py is defined by another file",
    ),
    "dict over list": (
        {"a.py": "_base_ = 'b.py'\nm = dict(h=dict(x=1))", "b.py": "m = dict(h=[dict(x=2)])"},
        r"a\.py: 'm\.h' is a dict here and a list in .*_delete_=True",
    ),
    "package": ({"a.py": "_base_ = 'mmdet::base.py'"}, "a file of an installed package"),
    "number": ({"a.py": "_base_ = 3"}, "_base_ holds 3; expected paths"),
    "no name": ({"a.py": "_base_ = 'a\\0\\nb.py'"}, r"_base_ holds 'a\\x00\\nb\.py'"),
    "long name": ({"a.py": "_base_ = 'b' * 5000"}, "too long"),
    "computed": ({"a.py": "_base_ = open('x')"}, r"a\.py:1: a call of open"),
    "error in base": ({"a.py": "_base_ = 'b.py'", "b.py": "x = 1\ny = z"}, r"b\.py:2: the name z"),
    "new style": (
        {"a.py": "from mmengine.config import read_base\nwith read_base():\n    from .b import *"},
        r"a\.py:1: an import, .* is not followed; .*Config\.fromfile\('config\.py'\)\.dump",
    ),
    "environment": ({"a.py": "x = 1\ny = '{{$HOME:/tmp}}/x'"}, r"a\.py:2: a value from an environment"),
    "environment, quoted": ({"a.py": "y = {{'$N:8'}}"}, r"a\.py:1: a value from an environment"),
    "endless": (
        {"a.py": "_base_ = 'b.py'\n_base_.x['x'] = _base_.x", "b.py": "x = dict()"},
        "within themselves",
    ),
    "no text": ({"a.py": b"\xff\xfe\x00"}, "can't be read as UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, tmp_path):
    files, message = REFUSED[name]
    folder = tmp_path / "x"
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CheckpointError, match=message) as caught:
        read_config(folder / "a.py")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "x: 1", r"a\.yaml is no config that can be read; expected \.py or \.json"),
        ("a.json", "{", r"a\.json is no JSON"),
        ("a.json", "[1]", r"a\.json holds a JSON list"),
        ("a.json", "[" * 100000, r"a\.json is no JSON"),
    ],
)
def test_other_formats(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_config(tmp_path / name)


def test_a_chain_of_files_has_an_end(tmp_path):
    for number in range(MAX_FILES + 1):
        (tmp_path / f"{number}.py").write_text(f"_base_ = '{number + 1}.py'")
    with pytest.raises(CheckpointError, match="more than 100 files"):
        read_config(tmp_path / "0.py")


def test_nothing_is_run(tmp_path):
    (tmp_path / "a.py").write_text(f"_base_ = 'b.py'\n__import__('os').mkdir({str(tmp_path / 'ran')!r})")
    (tmp_path / "b.py").write_text("x = 1")
    with pytest.raises(CheckpointError):
        read_config(tmp_path / "a.py")
    assert not (tmp_path / "ran").exists()
