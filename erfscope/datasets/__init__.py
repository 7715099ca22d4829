"""Datasets of images and labels: readers of layouts on disk, synthetic scenes, and samples as tensors."""

from erfscope.datasets.check_split import check_split
from erfscope.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, ImageDataset, Sample
from erfscope.datasets.labels import IGNORE
from erfscope.datasets.layout import DatasetLayout
from erfscope.datasets.layout_catalog import LAYOUTS
from erfscope.datasets.opening import open_dataset, with_preprocessing
from erfscope.datasets.plugged import PluggedDataset
from erfscope.datasets.streaming import SkippedImage, every_nth, stream

__all__ = [
    "IGNORE",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LAYOUTS",
    "DatasetLayout",
    "ImageDataset",
    "PluggedDataset",
    "Sample",
    "SkippedImage",
    "check_split",
    "every_nth",
    "open_dataset",
    "stream",
    "with_preprocessing",
]
