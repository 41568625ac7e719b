"""
Learned weights of the layers
=============================

Each encoder of ASP-MTL is a stack of LSTM layers whose outputs are summed with learned weights (eq. 9 and 10 of the
paper). Read these weights from a trained run; before training they are equal.
"""

import demo_run
import matplotlib.pyplot as plt
import numpy as np

run = demo_run.run()
model = run.model()
logits = {w.path: np.asarray(w) for w in model.weights if w.path.endswith("weighting/logits")}
weights = {path.split("/")[-3]: np.exp(x) / np.exp(x).sum() for path, x in logits.items()}
for name, values in weights.items():
    print(f"{name}: " + ", ".join(f"layer {i + 1} {value:.3f}" for i, value in enumerate(values)))

# %%
# The bars of an encoder sum to 1.
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
layers = len(next(iter(weights.values())))
for layer in range(layers):
    places = np.arange(len(weights)) + (layer - (layers - 1) / 2) * 0.35
    axes.bar(places, [values[layer] for values in weights.values()], width=0.33, label=f"layer {layer + 1}")
axes.axhline(1 / layers, color="black", linestyle=":", linewidth=1)
axes.set(xticks=range(len(weights)), xticklabels=list(weights), ylabel="weight")
axes.legend(frameon=False)
