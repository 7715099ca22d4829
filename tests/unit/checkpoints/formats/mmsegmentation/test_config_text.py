"""Config texts: the same values as Python gives, and nothing of them is ever run."""

import math
import tracemalloc

import pytest

from erfscope.checkpoints.formats.mmsegmentation.config_text import MAX_BYTES, parse_config
from erfscope.errors import CheckpointError

# Each is run by Python, too, which is the second derivation of what it means.
TEXTS = {
    "literals": """
'''A docstring.'''
integer, negative, real, tiny = 3, -4, .5, -1e-5  # a comment
text = 'two ' "parts" '\\n'
nothing, yes, no = None, True, False
hexadecimal = 0xff
""",
    "containers": """
empty = [[], (), {}, dict()]
one = (1, )
nested = dict(a=[1, (2, 3), dict(b={'c': None, 5: 'five', (1, 2): 'pair'})])
mixed = {**nested, 'd': {1, 2}}
pairs = dict([('a', 1), ('b', 2)], c=3)
unpacked = [*one, 2, *[3, 4]]
""",
    "names": """
norm_cfg = dict(type='SyncBN', requires_grad=True)
common = dict(norm_cfg=norm_cfg, act_cfg=dict(type='ReLU'))
model = dict(backbone=dict(depth=50, **common), decode_head=dict(num_classes=19, **common))
first, (second, third) = 1, [2, 3]
a = b = [1]
c = model['backbone']['norm_cfg']['type']
d = [1, 2, 3, 4][1:-1] + [(5, 6)[0]]
""",
    "arithmetic": """
iters = 160000
interval = iters // 10
ratio = 1 / 4.
rest = -7 % 3
mixed = 2 * (3 + 4.5) - 1
weights = [1.0] * 5 + [0.1]
zeros = 3 * (0, )
name = 'a' + 'b' * 2
flag = not 1
""",
    "calls": """
depths = [2, 2, 6]
total = sum([18, 36, 72]) + len(depths) + max(depths) + min(1, 2)
scales = [int(512 * x * 0.1) for x in range(5, 9)]
floats = [float('1e3'), float('inf'), int('7')]
heads = [dict(stage=s, kernel=[k, k]) for s, k in enumerate((3, 5))]
grid = [(x, y) for x in range(2) for y in range(x, 3)]
order = list(zip(depths, ('a', 'b', 'c')))
keys = {f'stages.{stage}.blocks.{block}.norm': dict(decay_mult=0.0)
        for stage, blocks in enumerate(depths) for block in range(blocks)}
custom = tuple(set([1, 1]))
""",
    "statements": """
keys = {'backbone': dict(lr_mult=1.0)}
keys.update({'norm': 1}, extra=2)
keys.update([('pair', 3)])
shared = keys
shared['late'] = [1]
shared['late'].append(2)
shared['late'].extend((3, 4))
shared['late'] += [5]
count = 1
count += 2
steps = [1, 2, 3]
steps += [4]
del steps[0], keys['norm']
last = steps.pop()
gone = keys.pop('absent', None)
names = list(keys.keys())
values = list(keys.copy().values())
entries = [key for key, value in keys.items()]
tmp = 5
del tmp
pass
""",
}


@pytest.mark.parametrize("name", TEXTS)
def test_same_values_as_python(name):
    run = {}
    exec(TEXTS[name], run)  # these texts are this file's own
    run.pop("__builtins__")
    run.pop("__doc__", None)
    read = parse_config(TEXTS[name], name)
    assert read == run
    assert repr(read) == repr(run)  # also 1 from 1.0, and a list from a tuple


def test_what_mmengine_dumps_and_python_would_not_take():
    read = parse_config("clip = dict(low=-inf, high=inf)\nnothing = nan\n", "w.pth")
    assert read["clip"] == {"low": -math.inf, "high": math.inf}
    assert math.isnan(read["nothing"])


def test_ordered_dicts_are_plain_dicts():
    assert parse_config("a = OrderedDict([('x', 1), ('y', dict(z=2))])", "w.pth") == {
        "a": {"x": 1, "y": {"z": 2}}
    }


def test_no_part_of_the_result_is_shared():
    read = parse_config("norm = dict(type='BN')\nmodel = dict(a=norm, b=norm)", "w.pth")
    read["norm"]["type"] = "GN"
    read["model"]["a"]["type"] = "LN"
    assert read["model"]["b"] == {"type": "BN"}


REFUSED = {
    "import os": "1: an import",
    "a = 1\nfrom mmengine.config import read_base": "2: an import",
    "with read_base():\n    from .base import *": "1: an import, or `with read_base\\(\\)`, is not followed",
    "_base_ = './base.py'\n": "1: a config that inherits from _base_",
    "a = __import__('os').mkdir('MARKER')": "1: this can't be worked out|1: a call of",
    "import_os = 1\nimport_os.system('x')": "2: a call of int.system",
    "os.system('x')": "1: a call of os.system",
    "a = open('x')": "1: a call of open",
    "a = eval('1')": "1: a call of eval",
    "a = getattr(1, 'real')": "1: a call of getattr",
    "a = (1).__class__": "1: .*expected a dict, got a int",
    "a = {}.__class__": "1: .*KeyError: '__class__'",
    "a = dict(\n  b=[\n    lambda: 1])": "3: an expression of the kind Lambda",
    "a = 1 if 2 else 3": "1: an expression of the kind IfExp",
    "a = [x for x in (1, 2) if x]": "1: a condition",
    "if 1:\n    a = 1": "1: a statement of the kind If",
    "def f():\n    pass": "1: a statement of the kind FunctionDef",
    "a = b": "1: the name b has no value yet",
    "a = __builtins__": "1: the name __builtins__",
    "dict = 3\na = dict(b=1)": "2: a call of dict",
    "a = b'bytes'": "1: .*a bytes has no place",
    "a = 'x' % 3": "1: .*Mod of str and int",
    "a = f'{1:>9}'": "1: .*only plain names and numbers",
    "a = 1 / 0": "1: .*division by zero",
    "a = [1]\na['x'] = 2": "2: this can't be done .*TypeError",
    "a, b = 1, 2, 3": "1: 3 values don't go into 2 names",
    "a = {{_base_.b}}": "1: the name _base_ has no value",
    "a = dict(b=1, **dict(b=2))": "1: .*comes twice",
    "/home/me/config.py\nmodel = dict()": "1: this is not Python|1: the name",
    "a = (": "1: this is not Python",
    "a = '\0'": "1: this is not Python",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=f"^w.pth:(?:{REFUSED[text]})") as caught:
        parse_config(text, "w.pth")
    assert "\n" not in str(caught.value)
    assert "never run" in str(caught.value)
    assert "dump" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


BOMBS = {
    "power": "a = 10 ** 10 ** 10",
    "repeated": "a = [0] * 1000000000",
    "repeated string": "a = 'x' * 10000000000",
    "range": "a = range(10000000000000)",
    "nested loops": "a = [0 for x in range(10000) for y in range(10000)]",
    "doubled": "a = [1]\n" + "a = a + a\n" * 60,
    "doubled in place": "a = [1]\n" + "a += a\n" * 60,
    "extended by itself": "a = [1]\n" + "a.extend(a)\n" * 60,
    "doubled text": "a = 'x'\n" + "a = f'{a}{a}'\n" * 60,
    "unpacked": "a = [0] * 1000000\nb = [" + "*a, " * 1000 + "]",
    "laughter": "a = [1]\n" + "a = [a, a, a, a, a, a, a, a, a, a]\n" * 20,
    "itself": "a = dict()\na['a'] = a",
    "deep value": "a = ()\n" + "a = (a,)\n" * 20000,
    "deep key": "a = ()\n" + "a = (a,)\n" * 20000 + "b = {a: 1}",  # whose hash can overrun a stack
    "deep sum": "a = " + "1 + " * 200 + "1",
    "very deep sum": "a = " + "1 + " * 100000 + "1",
    "brackets": "a = " + "[" * 100000,
    "signs": "a = " + "-" * 100000 + "1",
    "great number": "a = 0x" + "f" * 10000,
    "growing number": "a = 2\n" + "a = a * a\n" * 100,
    "length": "a = '" + "x" * MAX_BYTES + "'",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_texts_that_ask_for_too_much(name):
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            parse_config(BOMBS[name], "w.pth")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 200e6  # the syntax tree of the longest of these texts takes half of it
