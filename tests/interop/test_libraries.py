"""Networks of torchvision, segmentation_models_pytorch and transformers: the graph's numbers are theirs."""

import pytest
import torch
from torch import nn

import erfscope


def smp(architecture, encoder="resnet18", **options):
    def build():
        import segmentation_models_pytorch

        kind = getattr(segmentation_models_pytorch, architecture)
        return kind(encoder, encoder_weights=None, classes=5, **options)

    return build


def torchvision_model(name):
    def build():
        from torchvision.models import segmentation

        return getattr(segmentation, name)(weights=None, weights_backbone=None)

    return build


def hf(name, config, backbone=None, **options):
    def build():
        import transformers

        if backbone is not None:
            kind, settings = backbone
            options["backbone_config"] = getattr(transformers, kind)(**settings)
        made = getattr(transformers, config)(num_labels=5, **options)
        return getattr(transformers, name)(made)

    return build


STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
SMALL = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
UPERNET = ("UperNetForSemanticSegmentation", "UperNetConfig")
NETWORKS = {
    "smp Unet": (smp("Unet"), (64, 96)),
    "smp Unet over MobileNetV2": (smp("Unet", "mobilenet_v2"), (64, 96)),
    "smp Unet over EfficientNet": (smp("Unet", "efficientnet-b0"), (64, 96)),
    "smp Unet over MiT": (smp("Unet", "mit_b0"), (64, 96)),
    "smp Unet over timm's ConvNeXt": (smp("Unet", "tu-convnext_atto"), (64, 96)),
    "smp UnetPlusPlus": (smp("UnetPlusPlus"), (64, 96)),
    "smp MAnet": (smp("MAnet"), (64, 96)),
    "smp Linknet": (smp("Linknet"), (64, 96)),
    "smp FPN": (smp("FPN"), (64, 96)),
    "smp PSPNet": (smp("PSPNet"), (64, 96)),
    "smp PAN": (smp("PAN"), (256, 288)),
    "smp DeepLabV3": (smp("DeepLabV3"), (64, 96)),
    "smp DeepLabV3Plus": (smp("DeepLabV3Plus"), (64, 96)),
    "smp UPerNet": (smp("UPerNet"), (64, 96)),
    "smp Segformer": (smp("Segformer"), (64, 96)),
    "smp DPT": (smp("DPT", "tu-vit_tiny_patch16_224.augreg_in21k", dynamic_img_size=True), (64, 96)),
    "torchvision DeepLabV3": (torchvision_model("deeplabv3_resnet50"), (65, 97)),
    "torchvision DeepLabV3 over MobileNetV3": (torchvision_model("deeplabv3_mobilenet_v3_large"), (65, 97)),
    "torchvision LR-ASPP": (torchvision_model("lraspp_mobilenet_v3_large"), (64, 96)),
    "hf SegFormer": (hf("SegformerForSemanticSegmentation", "SegformerConfig"), (64, 96)),
    "hf UPerNet over Swin": (hf(*UPERNET, ("SwinConfig", {"embed_dim": 24, **STAGES})), (64, 96)),
    "hf UPerNet over ConvNeXt": (
        hf(*UPERNET, ("ConvNextConfig", {"hidden_sizes": [24, 48, 96, 192], **STAGES})),
        (64, 96),
    ),
    "hf DPT": (hf("DPTForSemanticSegmentation", "DPTConfig", image_size=96, **SMALL), (96, 96)),
    "hf BEiT": (
        hf(
            "BeitForSemanticSegmentation", "BeitConfig", image_size=96, out_indices=[3, 5, 7, 11],
            use_relative_position_bias=True, **SMALL,
        ),
        (96, 96),
    ),
    "hf MobileViT": (hf("MobileViTForSemanticSegmentation", "MobileViTConfig", image_size=128), (128, 128)),
    "hf MobileNetV2": (hf("MobileNetV2ForSemanticSegmentation", "MobileNetV2Config"), (65, 97)),
}  # fmt: skip


def build(name):
    torch.manual_seed(0)
    network = NETWORKS[name][0]().eval()
    with torch.no_grad():
        for module in network.modules():  # statistics that are not the identity
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network


ATROUS = {
    "smp DeepLabV3": (8, (12, 24, 36)),
    "smp DeepLabV3Plus": (16, (12, 24, 36)),
    "torchvision DeepLabV3": (8, (12, 24, 36)),
    "torchvision DeepLabV3 over MobileNetV3": (16, (12, 24, 36)),
    "hf MobileViT": (32, (6, 12, 18)),
}


@pytest.mark.filterwarnings("ignore")  # of the libraries themselves
@pytest.mark.parametrize("name", NETWORKS)
def test_pruned_equals_plain_and_only_real_atrous_heads_are_found(name, torchvision, predicted_from_it):
    network, size = build(name).double(), NETWORKS[name][1]
    image = torch.randn(3, *size, dtype=torch.float64)
    unit = None if len(name) % 2 else (size[0] - 2, 1)  # the center of half of them, a border of the others
    pruned, plain = (
        erfscope.compute_erf(network, [image], unit=unit, precision="float64", engine=engine)
        for engine in ("auto", "dense")
    )
    engine = pruned.provenance["engine"]
    assert engine["mode"] == "graph", engine["reason"]
    assert "no rule" not in engine["reason"]
    # 1e-9 is what was asked for; sums in another order differ by some 1e-15.
    assert abs(pruned.gradient_sum - plain.gradient_sum).max() <= 1e-12 * abs(plain.gradient_sum).max()
    predicted = erfscope.predict_fov(network, size)
    stride, rates = ATROUS.get(name, (None, ()))
    assert (predicted.read_stride, predicted.rates) == (stride and pytest.approx(stride, rel=0.02), rates)
    assert predicted.pattern == ("star" if rates else "none")
    assert predicted.projected_center is not None
