"""Every part that a description may name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from erfscope.zoo.backbones.convnext import ConvNeXt
from erfscope.zoo.backbones.densenet import DenseNet
from erfscope.zoo.backbones.mit import MixVisionTransformer
from erfscope.zoo.backbones.mobilenet_v2 import MobileNetV2
from erfscope.zoo.backbones.mobilenet_v3 import MobileNetV3
from erfscope.zoo.backbones.resnet import ResNet
from erfscope.zoo.backbones.swin import SwinTransformer
from erfscope.zoo.backbones.unet import UNet
from erfscope.zoo.backbones.vit import VisionTransformer
from erfscope.zoo.backbones.xception import Xception
from erfscope.zoo.heads.ann import ANNHead
from erfscope.zoo.heads.aspp import ASPPDecoderHead, ASPPHead
from erfscope.zoo.heads.da import DAHead
from erfscope.zoo.heads.deeplab_paper import PaperASPPHead, PaperDecoderHead
from erfscope.zoo.heads.deeplabv2 import DeepLabV2Head
from erfscope.zoo.heads.dense_aspp import DenseASPPHead
from erfscope.zoo.heads.dpt import DPTHead
from erfscope.zoo.heads.enc import EncHead
from erfscope.zoo.heads.fcn import FCNHead
from erfscope.zoo.heads.lraspp import LRASPPHead
from erfscope.zoo.heads.nonlocal_ import NLHead
from erfscope.zoo.heads.psp import PSPHead
from erfscope.zoo.heads.segformer import SegformerHead
from erfscope.zoo.heads.segmenter import SegmenterMaskTransformerHead
from erfscope.zoo.heads.setr import SETRMLAHead, SETRUPHead
from erfscope.zoo.heads.torchvision_heads import TorchvisionDeepLabHead, TorchvisionFCNHead
from erfscope.zoo.heads.uper import UPerHead
from erfscope.zoo.necks.cascade import CascadeNeck
from erfscope.zoo.necks.jpu import JPU
from erfscope.zoo.necks.mla import MLANeck
from erfscope.zoo.necks.multilevel import MultiLevelNeck

_CLASSES: tuple[type[nn.Module], ...] = (
    ConvNeXt, DenseNet, MixVisionTransformer, MobileNetV2, MobileNetV3, ResNet, SwinTransformer, UNet,
    VisionTransformer, Xception,
    CascadeNeck, JPU, MLANeck, MultiLevelNeck,
    ANNHead, ASPPHead, DAHead, DeepLabV2Head, DenseASPPHead, DPTHead, EncHead, FCNHead, LRASPPHead, NLHead,
    PaperASPPHead, PaperDecoderHead, PSPHead, SegformerHead, SegmenterMaskTransformerHead, SETRMLAHead,
    SETRUPHead, TorchvisionDeepLabHead, TorchvisionFCNHead, UPerHead,
)  # fmt: skip

#: By their names, which are mmsegmentation's where it has them.
PARTS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {part.__name__: part for part in _CLASSES} | {"DepthwiseSeparableASPPHead": ASPPDecoderHead}
)
