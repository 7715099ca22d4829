"""STARE: 20 retinas of 700×605 px, with vessels annotated by two observers (ah, vk)."""

from erfscope.datasets.readers.vessel_files import VesselFiles, vessel_layout

_FILES = VesselFiles(
    summary="as downloaded, packed or not: im*.ppm[.gz], im*.ah.ppm[.gz]; or images/{split}/*.png, "
    "annotations/{split}/*.ah.png",
    image=r"(im\d{4})\.ppm(?:\.gz)?",
    labels=(r"(im\d{4})\.ah\.ppm(?:\.gz)?", r"(im\d{4})\.vk\.ppm(?:\.gz)?"),
    converted_ends=(".ah.png", ".vk.png"),
    last_in_training=139,  # im0001 to im0139 are ten, im0162 to im0324 ten more
)
STARE = vessel_layout("stare", 128, _FILES)
