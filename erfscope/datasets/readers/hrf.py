"""HRF: 45 retinas of 3504×2336 px, healthy (h), with glaucoma (g) or with diabetes (dr)."""

from erfscope.datasets.readers.vessel_files import VesselFiles, vessel_layout

_FILES = VesselFiles(
    summary="as downloaded: images/*.jpg, manual1/*.tif; or images/{split}/*.png, annotations/{split}/*.png",
    image=r"(\d\d_(?:h|g|dr))\.(?:jpg|JPG)",
    labels=(r"(\d\d_(?:h|g|dr))\.tif",),  # 01_dr_mask.tif tells where the retina is
    converted_ends=(".png",),
    last_in_training=5,  # of each of the three
)
HRF = vessel_layout("hrf", 256, _FILES)
