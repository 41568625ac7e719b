import keras_ser as ks

corpus = ks.read_corpus("demo", speakers=6, sentences=2)
recipe = ks.Recipe(
    name="gru",
    corpus="demo",
    model="gru",  # the import path of the module
    tasks=(ks.Task("emotion", corpus.vocabulary["emotion"]), ks.Task("gender", ("female", "male"))),
    protocols=ks.Protocol("unseen-speakers", "stated", stated=(("f05", "m06"),), validation=1),
    batch_size=16,
    epochs=3,
    seeds=0,
)
print(ks.run(recipe, corpus))
