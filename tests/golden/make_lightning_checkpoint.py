"""Writes lightning.ckpt with the real Lightning, which must be installed.

A network under the name `net`, hyper-parameters, callbacks, optimizer and loops, as training leaves them.
"""

import sys
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.resolve().parent))

from small_networks import SmallNet, seeded  # noqa: E402


class Module(lightning.LightningModule):
    def __init__(self, arch="small", lr=0.001, classes=("a", "b")):
        super().__init__()
        self.save_hyperparameters()
        self.net = seeded(SmallNet())
        self.net.norm.momentum = 0  # or its statistics would no longer be the seed's
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(4))

    def training_step(self, batch, index):
        loss = self.criterion(self.net(batch), torch.zeros(len(batch), 8, 8, dtype=torch.long))
        self.log("loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0)


torch.manual_seed(0)
checkpoint = ModelCheckpoint(dirpath=HERE, filename="lightning", monitor="loss", enable_version_counter=False)
trainer = lightning.Trainer(
    accelerator="cpu", max_epochs=1, logger=False, enable_progress_bar=False,
    callbacks=[checkpoint, EarlyStopping("loss")],
)  # fmt: skip
trainer.fit(Module(), torch.utils.data.DataLoader(torch.randn(1, 3, 8, 8)))
