"""The layouts by name. A new reader joins, and gets its tests, by being listed here."""

from collections.abc import Mapping

from erfscope.datasets.ade20k import ADE20K
from erfscope.datasets.cityscapes import CITYSCAPES
from erfscope.datasets.folder import FOLDER
from erfscope.datasets.layout import Layout
from erfscope.datasets.leaves import SYNTHETIC_LEAVES
from erfscope.datasets.voc2012 import VOC2012

LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout for layout in (CITYSCAPES, VOC2012, ADE20K, FOLDER, SYNTHETIC_LEAVES)
}
