"""CHASE_DB1: both retinas, 999×960 px, of 14 children, with vessels annotated by two observers."""

from erfscope.datasets.readers.vessel_files import VesselFiles, vessel_layout

_FILES = VesselFiles(
    summary="as downloaded: Image_*.jpg, Image_*_1stHO.png; or images/{split}/*.png, "
    "annotations/{split}/*_1stHO.png",
    image=r"(Image_\d\d[LR])\.jpg",
    labels=(r"(Image_\d\d[LR])_1stHO\.png", r"(Image_\d\d[LR])_2ndHO\.png"),
    converted_ends=("_1stHO.png", "_2ndHO.png"),
    last_in_training=10,  # children
)
CHASE_DB1 = vessel_layout("chase_db1", 128, _FILES)
