"""Adversarial training, unchanged under ``python`` and under ``mpiexec -n p python``."""

import torch

import sparring

data = sparring.data.load("mnist-5k")
model = sparring.networks.build("study", seed=0)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
attack = sparring.PGD(epsilon=0.1, step_size=0.03, steps=5, random_start=True)

trainer = sparring.Trainer(model, optimizer, data, attack, strategy="data_parallel", threads=1)
history = trainer.fit(updates=100)

clean = trainer.accuracy(images=500)
robust = trainer.accuracy(attack, images=500)
if trainer.comm.rank == 0:
    print(f"processes: {trainer.comm.size}, seconds: {history.seconds:.1f}")
    print(f"clean accuracy {clean:.3f}, robust accuracy {robust:.3f}")
