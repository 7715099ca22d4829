"""The datasets by name. A new one is opened, and tested, once it is listed here."""

from collections.abc import Mapping

from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.readers.ade20k import ADE20K
from erfscope.datasets.readers.chase_db1 import CHASE_DB1
from erfscope.datasets.readers.cityscapes import CITYSCAPES
from erfscope.datasets.readers.coco_stuff import COCO_STUFF
from erfscope.datasets.readers.folder import FOLDER
from erfscope.datasets.readers.hrf import HRF
from erfscope.datasets.readers.isaid import ISAID
from erfscope.datasets.readers.loveda import LOVEDA
from erfscope.datasets.readers.refuge import REFUGE
from erfscope.datasets.readers.stare import STARE
from erfscope.datasets.readers.voc2012 import VOC2012
from erfscope.datasets.synthetic.known_context import SYNTHETIC_CONTEXT
from erfscope.datasets.synthetic.leaves import SYNTHETIC_LEAVES
from erfscope.datasets.synthetic.streets import SYNTHETIC_STREETS
from erfscope.datasets.synthetic.vessels import SYNTHETIC_VESSELS

LAYOUTS: Mapping[str, DatasetLayout] = {
    layout.name: layout
    for layout in (
        CITYSCAPES,
        VOC2012,
        ADE20K,
        COCO_STUFF,
        STARE,
        CHASE_DB1,
        HRF,
        REFUGE,
        ISAID,
        LOVEDA,
        FOLDER,
        SYNTHETIC_LEAVES,
        SYNTHETIC_STREETS,
        SYNTHETIC_VESSELS,
        SYNTHETIC_CONTEXT,
    )
}
