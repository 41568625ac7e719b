from keras_ser import Protocol, Recipe, Task, read_corpus
from keras_ser.experiment import run_experiment
from keras_ser.training import Data

corpus = read_corpus("demo")  # or ("manifest", "clips.csv"), ("emodb", "/data/emodb"), ..
tasks = (Task("emotion", corpus.vocabulary["emotion"]), Task("gender", ("female", "male")))
unseen = Protocol("unseen-speakers", "stated", stated=(("f09", "f11", "m10", "m12"),), validation=2)
recipe = Recipe("first", "demo", tasks, (unseen,), batch_size=16, epochs=12, patience=0, seeds=(0,))
recipe = recipe.change({"config.adversary": "label", "config.dropout": 0.2, "frontend.hop": 320})
recipe = recipe.change({"optimizer.learning_rate": 3e-3, "optimizer.schedule": "cosine"})
recipe = recipe.change({"sampling.frames": 48, "sampling.hop": 48, "sampling.rare_hop": 12})
data = Data.load(recipe, corpus, "saved_models/cache")
report = run_experiment(recipe, data, "saved_models/first")
print("\n".join(report.lines()))
