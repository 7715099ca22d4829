"""The five-line tour: a network and images in, a map, a figure and a measurement out."""

import erfscope

model = erfscope.load_model("deeplabv3", backbone="resnet18", output_stride=8)
images = erfscope.open_dataset("synthetic-leaves", images=4, size=513)
erf = erfscope.compute_erf(model, images)
erf.save("first_map.h5", overwrite=True)
erf.plot("first_map.png")
