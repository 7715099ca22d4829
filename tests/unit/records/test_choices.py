"""The lists that options choose from are those of the rooms that implement them."""

import subprocess
import sys

import pytest

from erfscope.engine import formulas
from erfscope.records import choices
from erfscope.report import map_figure
from erfscope.system import precision


@pytest.mark.parametrize(
    ("names", "implemented"),
    [
        (choices.FORMULAS, formulas.FORMULAS),
        (choices.PRECISIONS, precision.PRECISIONS),
        (choices.SCALES, map_figure.SCALES),
    ],
)
def test_names_are_those_that_are_implemented(names, implemented):
    assert names == tuple(implemented)


def test_choices_import_no_torch():
    code = "import sys, erfscope.records.choices; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
