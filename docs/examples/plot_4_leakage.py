"""
What a random split measures
============================

Train a support vector machine on statistics of short-term features with two splits of the same recordings: a random split of
overlapping windows, as in the MT-A-DNN paper, and a split by speaker. Only the second score predicts performance on new voices.
"""

from pathlib import Path

import matplotlib.pyplot as plt

from keras_ser import Protocol, Recipe, Task
from keras_ser.experiment import run_experiment
from keras_ser.pipelines.augmentation import Windows
from keras_ser.recipe import FrontendConfig, Sampling
from keras_ser.training import Data

recipe = Recipe(
    name="leakage",
    corpus="demo",
    corpus_options=(("speakers", 8), ("sentences", 3)),
    model="svm",
    tasks=(Task("emotion", ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")),),
    protocols=(
        Protocol("random-windows", "random", together=False),
        Protocol("unseen-speakers", "k-fold", by="speaker", folds=4, validation=1),
    ),
    frontend=FrontendConfig(features=("short_term",), preemphasis=0.0, endpoint=False, statistics=True),
    sampling=Sampling("whole"),
    windows=Windows(each=60),
    seeds=(0,),
)
recipe, corpus = recipe.read()
folder = Path("saved_models")
data = Data.load(recipe, corpus, folder / "cache", progress=False)
report = run_experiment(recipe, data, folder / "leakage")
print("\n".join(report.lines()))

# %%
# The dotted line is chance.
found = [report.result(protocol.name, "emotion") for protocol in recipe.protocols]
uar = [next(s for s in each.scores if s.metric == "uar") for each in found]
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.barh([p.name for p in recipe.protocols][::-1], [100 * s.value for s in uar][::-1], color="#0072B2")
axes.axvline(100 * uar[0].chance, color="black", linestyle=":", linewidth=1)
axes.set(xlim=(0, 100), xlabel="UAR, %")
