"""The façade: one list of names, imported when used, each documented with examples that run."""

import doctest
import inspect
import pickle
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import erfscope

#: What is doubtful about a map is in their flags.
RAISE_NOTHING = {"classify_pattern", "measure_extent", "measure_star"}
LAZY = """
import sys, erfscope
assert dir(erfscope) == sorted(dir(erfscope)) and {"compute_erf", "__version__"} <= set(dir(erfscope))
assert not {"torch", "numpy", "click", "h5py", "scipy", "importlib.metadata"} & set(sys.modules)
assert erfscope.load_erf.__module__ == "erfscope.workflows.maps"
assert "torch" not in sys.modules
assert erfscope.__version__
"""


def sections(documented):
    """Return the text of each section of a numpy docstring, by title."""
    parts = re.split(r"^([A-Z][a-z]+)\n-+\n", inspect.getdoc(documented) or "", flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named_in(section):
    """Return the names that a section describes: `x, y` or `x : type` at the left margin."""
    lines = re.findall(r"^([\w*].*)$", section, flags=re.MULTILINE)
    return {name.strip(" *") for line in lines for name in line.split(" : ")[0].split(",")}


def undocumented(documented):
    """Return what the docstring of a public name lacks."""
    found = sections(documented)
    needed = {"Examples": None}
    if inspect.isfunction(documented):
        signature = inspect.signature(documented)
        needed["Parameters"] = set(signature.parameters) - {"self"}
        if documented.__name__ not in RAISE_NOTHING:
            needed["Raises"] = None
        if signature.return_annotation not in (None, "None"):
            needed["Returns"] = None
    elif is_dataclass(documented):
        needed["Attributes"] = {each.name for each in fields(documented)}
    lacking = [title for title in needed if title not in found]
    for title, names in needed.items():
        if names and title in found:
            lacking += [f"{title}: {name}" for name in sorted(names - named_in(found[title]))]
    return lacking


@pytest.mark.parametrize("name", erfscope.__all__)
def test_every_public_name_is_documented(name):
    assert undocumented(getattr(erfscope, name)) == []


@pytest.mark.parametrize("method", [erfscope.ErfMap.save, erfscope.ErfMap.plot])
def test_methods_are_documented(method):
    assert set(undocumented(method)) <= {"Examples"}  # that of the class shows them


@pytest.mark.parametrize("name", erfscope.__all__)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report = []
    for example in doctest.DocTestFinder(exclude_empty=True).find(getattr(erfscope, name), name):
        runner.run(example, out=report.append)
    assert runner.tries, f"{name} has no example"
    assert runner.failures == 0, "".join(report)


def test_importing_costs_nothing():
    subprocess.run([sys.executable, "-c", LAZY], check=True)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="compute_maps"):
        _ = erfscope.compute_maps


def test_a_map_says_what_it_is_in_a_few_lines(small_map):
    lines = repr(small_map).splitlines()
    assert lines[0] == "ErfMap of 33×41 px"
    told = [line.split()[0] for line in lines[1:]]
    assert told == ["unit", "images", "formula", "network", "weights", "data", "engine"]
    assert "20 of 20" in lines[2]


def test_results_are_short_to_read(small_map):
    for measure in (erfscope.measure_star, erfscope.measure_extent, erfscope.fit_gaussian):
        text = repr(measure(small_map))
        assert "array(" not in text
        assert len(text) < 2500, text


def test_a_pickled_map_saves_and_draws_itself(small_map, tmp_path):
    (tmp_path / "map.pickle").write_bytes(pickle.dumps(small_map))
    code = (
        "import pickle, pathlib; erf = pickle.loads(pathlib.Path('map.pickle').read_bytes()); "
        "erf.save('again.h5'); erf.plot('again.png')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    again = erfscope.load_erf(tmp_path / "again.h5")
    assert (again.erf == small_map.erf).all()
    assert Path(tmp_path / "again.png").stat().st_size > 10_000
