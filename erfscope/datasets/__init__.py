"""Images for a network: one reader a layout, synthetic scenes, and the way from file to tensor."""

from erfscope.datasets.check_split import check_split
from erfscope.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, ImageDataset, Sample
from erfscope.datasets.fit_to_size import FITS
from erfscope.datasets.labels import IGNORE
from erfscope.datasets.layout import Layout
from erfscope.datasets.layout_catalog import LAYOUTS
from erfscope.datasets.opening import open_dataset, with_preprocessing
from erfscope.datasets.plugged import PluggedDataset
from erfscope.datasets.streaming import SkippedImage, every_nth, stream

__all__ = [
    "FITS",
    "IGNORE",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LAYOUTS",
    "ImageDataset",
    "Layout",
    "PluggedDataset",
    "Sample",
    "SkippedImage",
    "check_split",
    "every_nth",
    "open_dataset",
    "stream",
    "with_preprocessing",
]
