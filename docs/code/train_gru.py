from keras_ser import Protocol, Recipe, Task, read_corpus
from keras_ser.experiment import run_experiment
from keras_ser.models import MODELS
from keras_ser.training import Data

MODELS["gru"] = "gru"  # the module's import path

corpus = read_corpus("demo", speakers=6, sentences=2)
recipe = Recipe(
    name="gru",
    corpus="demo",
    model="gru",
    tasks=(Task("emotion", corpus.vocabulary["emotion"]), Task("gender", ("female", "male"))),
    protocols=(Protocol("unseen-speakers", "stated", stated=(("f05", "m06"),), validation=1),),
    batch_size=16,
    epochs=3,
    seeds=(0,),
)
data = Data.load(recipe, corpus, "saved_models/cache")
print("\n".join(run_experiment(recipe, data, "saved_models/gru").lines()))
