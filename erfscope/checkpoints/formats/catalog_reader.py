"""Builds a network of the catalog by its name, with the weights of a file or random ones."""

from erfscope.checkpoints.detection import Detection
from erfscope.checkpoints.files.weights_file import read_checkpoint
from erfscope.checkpoints.fitting.prefixes import under_own_names
from erfscope.checkpoints.fitting.zoo_network import build_zoo_network
from erfscope.checkpoints.request import Request
from erfscope.model.network import Network
from erfscope.zoo.adjust import with_classes
from erfscope.zoo.build import build_skeleton
from erfscope.zoo.catalog.entries import describe_network


def read(request: Request, _detection: Detection) -> Network:
    """Build the network; without `num_classes`, the checkpoint's classifier decides.

    Raises
    ------
    NetworkError, CheckpointError
        There is no such network, it can't be built so, or the weights don't match.
    """
    request.refuse_config("it describes a checkpoint, which --model FILE names")
    description = describe_network(request.spec, **request.options)
    content = None if request.checkpoint is None else read_checkpoint(request.checkpoint)
    if content is not None and "num_classes" not in request.options:
        skeleton = build_skeleton(description)
        state = under_own_names(content.state, skeleton.state_dict())
        classifier = state.get(skeleton.classifier_weight)
        if classifier is not None and classifier.ndim > 0:
            description = with_classes(description, classifier.shape[0])
    return build_zoo_network(request, description, content, name=request.spec, format="catalog")
