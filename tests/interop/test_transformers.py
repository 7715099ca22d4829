"""transformers' own networks: saved by it and loaded here, they give the same logits and maps."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from same_outputs import assert_same_outputs
from small_networks import noise_images
from tiers import representatives
from torch.nn import functional as F
from transformers_networks import CONFIGS, MASK_NETWORKS, NUM_LABELS, make_config, make_network

import erfscope
from erfscope.checkpoints.fitting.matching import comparable
from erfscope.errors import ComputeError

SIZE = (64, 64)
REPRESENTATIVES = ("segformer", "upernet over swin", "mask2former")
# What CLIP's tokenizer makes of "the task is semantic" (the, task, is, seman, tic) with padding to 77, times
# its attention mask, as OneFormerProcessor does.
TASK = torch.tensor([[49406, 518, 10549, 533, 29119, 1550, 49407] + [0] * 70])


@pytest.fixture(scope="session")
def folder_of(torchvision, tmp_path_factory):
    """Save a network once, and return its folder and the network."""
    saved = {}

    def save(name):
        if name not in saved:
            network = make_network(make_config(name))
            folder = tmp_path_factory.mktemp("transformers") / name.replace(" ", "-")
            network.save_pretrained(folder)
            saved[name] = folder, network
        return saved[name]

    return save


def scores(network, image):
    """(N, K, H, W) of the library alone, resized as its image processors do."""
    import transformers

    kind = network.config.model_type
    with torch.no_grad():
        output = network(image, *([TASK] if kind == "oneformer" else []))
    if kind not in MASK_NETWORKS:
        return F.interpolate(output.logits, size=image.shape[-2:], mode="bilinear")
    names = {
        "eomt": "Eomt",
        "eomt_dinov3": "Eomt",
        "mask2former": "Mask2Former",
        "maskformer": "MaskFormer",
        "oneformer": "OneFormer",
    }
    processor = getattr(transformers, f"{names[kind]}ImageProcessor")()
    sized = {"size": {"shortest_edge": 64, "longest_edge": 64}} if kind.startswith("eomt") else {}
    (found,) = processor.post_process_semantic_segmentation(
        output, target_sizes=[tuple(image.shape[-2:])], return_segmentation_scores=True, **sized
    )
    return found.segmentation_scores[None]


@pytest.mark.parametrize("name", representatives(CONFIGS, REPRESENTATIVES))
def test_logits_are_the_librarys(name, folder_of):
    folder, theirs = folder_of(name)
    ours = erfscope.load_model(f"hf:{folder}")
    weights = ours.info.weights
    assert (weights.missing, weights.unexpected, weights.left_out) == ((), (), 0)
    assert set(weights.matched) == set(comparable(theirs.state_dict()))
    assert weights.source == str(folder / "model.safetensors")
    assert len(weights.sha256) == 64
    assert ours.info.name == theirs.config.model_type
    assert ours.info.options["num_classes"] == NUM_LABELS
    assert not ours.training
    image = noise_images(1, SIZE)[0][None]
    with torch.no_grad():
        found = ours(image)
    expected = scores(theirs, image)
    assert found.shape == (1, NUM_LABELS, *SIZE)
    assert expected.std() > 1e-3  # logits that differ from each other, or nothing is compared
    # EoMT's attention is written out here, which rounds otherwise than torch's fused one; OneFormer's scores
    # are resized by torchvision there. All others compute the same in the same order.
    if name in ("eomt", "eomt_dinov3", "oneformer"):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    else:
        assert_same_outputs(found, expected)


@pytest.mark.parametrize("name", ["segformer", "mask2former", "oneformer"])
def test_images_of_a_batch_do_not_mix(name, folder_of):
    ours = erfscope.load_model(str(folder_of(name)[0]))
    images = torch.stack(noise_images(2, (64, 96)))
    with torch.no_grad():
        torch.testing.assert_close(ours(images)[1:], ours(images[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the library, and of torch while it captures
@pytest.mark.parametrize("name", representatives(CONFIGS, REPRESENTATIVES[:1]))
def test_one_unit(name, folder_of, predicted_from_it):
    """The pruned graph gives what plain autograd gives; the field of view is told, or why it isn't."""
    ours = erfscope.load_model(str(folder_of(name)[0])).double()
    (image,) = noise_images(1, SIZE)
    pruned, plain = (
        erfscope.compute_erf(ours, [image.double()], unit=(30, 33), precision="float64", engine=engine)
        for engine in ("auto", "dense")
    )
    engine = pruned.provenance["engine"]
    # OneFormer asks which of its masks are empty, and no graph holds what depends on the answer.
    assert engine["mode"] == ("dense" if name == "oneformer" else "graph"), engine["reason"]
    assert abs(plain.gradient_sum).max() > 0
    # Sums in another order differ by some 1e-15.
    assert abs(pruned.gradient_sum - plain.gradient_sum).max() <= 1e-12 * abs(plain.gradient_sum).max()
    if name == "oneformer":
        with pytest.raises(ComputeError, match="oneformer can't be captured as a graph"):
            erfscope.predict_fov(ours, SIZE)
        return
    predicted = erfscope.predict_fov(ours, SIZE)
    assert predicted.pattern == ("star" if name == "mobilevit" else "none")
    assert predicted.theoretical_rf_px == SIZE  # each has attention, or pooling over the whole image


@pytest.mark.parametrize(
    ("name", "size", "taken"),
    [
        ("eomt", (32, 128), "--size 64x64"),  # as many patches as 64×64 has
        ("eomt", (96, 96), "--size 64x64"),
        ("eomt_dinov3", (32, 128), "--size 64x64"),
        ("data2vec", (32, 128), "--size 64x64"),
        ("dpt", (32, 128), "one side"),
    ],
)
def test_sizes_that_would_be_scrambled(name, size, taken, folder_of):
    ours = erfscope.load_model(str(folder_of(name)[0]))
    for run in (erfscope.predict_fov, lambda net, hw: erfscope.compute_erf(net, noise_images(1, hw))):
        with pytest.raises(ComputeError, match=f"alone, not {size[0]}×{size[1]} px; give {taken}"):
            run(ours, size)


@pytest.mark.representative
def test_a_square_of_another_size(folder_of):
    folder, theirs = folder_of("dpt")
    image = noise_images(1, (96, 96))[0][None]
    with torch.no_grad():
        found = erfscope.load_model(str(folder))(image)
    assert_same_outputs(found, scores(theirs, image))


def test_what_only_training_needs_is_left_out(torchvision, tmp_path):
    """OneFormer keeps what reads the texts of its training, where it was trained further."""
    network = make_network(make_config("oneformer", is_training=True, text_encoder_width=64))
    network.save_pretrained(tmp_path)
    ours = erfscope.load_model(str(tmp_path))
    weights = ours.info.weights
    assert (weights.missing, weights.unexpected) == ((), ())
    assert weights.left_out > 10
    without = make_network(make_config("oneformer", text_encoder_width=64))
    without.load_state_dict(network.state_dict(), strict=False)
    image = noise_images(1, SIZE)[0][None]
    with torch.no_grad():
        torch.testing.assert_close(ours(image), scores(without, image), rtol=1e-4, atol=1e-5)


def test_tensors_that_no_path_reads_may_be_missing(folder_of, tmp_path):
    """The published DPTs lack them: the first fusion has nothing to add to."""
    folder, theirs = folder_of("dpt")
    unread = "neck.fusion_stage.layers.0.residual_layer1"
    state = load_file(folder / "model.safetensors")
    save_file({name: t for name, t in state.items() if unread not in name}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    ours = erfscope.load_model(str(tmp_path))
    assert len(ours.info.weights.missing) == 4
    assert all(unread in name for name in ours.info.weights.missing)
    image = noise_images(1, SIZE)[0][None]
    with torch.no_grad():
        assert_same_outputs(ours(image), scores(theirs, image))
