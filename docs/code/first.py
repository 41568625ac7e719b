import keras_ser as ks

corpus = ks.read_corpus("demo")  # or ks.read_corpus("manifest", "clips.csv")
recipe = ks.Recipe(
    name="first",
    corpus="demo",
    tasks=(ks.Task("emotion", corpus.vocabulary["emotion"]), ks.Task("gender", ("female", "male"))),
    protocols=ks.Protocol("unseen-speakers", "stated", stated=(("f09", "f11", "m10", "m12"),), validation=2),
    frontend=ks.FrontendConfig(hop=320),
    sampling=ks.Sampling(frames=48, hop=48, rare_hop=12),
    optimizer=ks.OptimizerConfig(learning_rate=3e-3, schedule="cosine"),
    batch_size=16,
    epochs=20,
    patience=0,
    seeds=0,
).change({"config.adversary": "label", "config.dropout": 0.2})
experiment = ks.run(recipe, corpus)
print(experiment)

model = ks.load(experiment.folder)
prediction = model.predict(corpus.root / "f09_sadness_s1.wav")[0]
print("\nf09_sadness_s1.wav:", prediction["emotion"]["label"])
