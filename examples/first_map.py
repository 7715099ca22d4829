"""Compute the map of a network over some images, save it and draw it."""

import erfscope

model = erfscope.load_model("deeplabv3", backbone="resnet18", output_stride=8)
images = erfscope.open_dataset("synthetic-leaves", images=4, size=513)
erf = erfscope.compute_erf(model, images)
erf.save("first_map.h5", overwrite=True)
erf.plot("first_map.png")
