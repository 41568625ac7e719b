"""
Export and serve in one process
===============================

Write a run as a SavedModel, load it again without Keras, and send it the bytes of a WAV file, as a client of TensorFlow
Serving would. The prediction equals that of the Keras model.
"""

import demo_run
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from keras_ser.audio import read
from keras_ser.serving import export, read_facts

run = demo_run.run()
folder = export(run, "saved_models", name="emotion")
print(folder)
for compared, difference in read_facts(folder)["parity"].items():
    print(f"{compared}: {difference:.1e}")

# %%
# The signature "serving_default" takes WAV files of any common format and returns probabilities, labels and scores.
path = demo_run.corpus.file(next(iter(demo_run.corpus)))
served = tf.saved_model.load(str(folder)).signatures["serving_default"]
prediction = {name: value.numpy() for name, value in served(audio=tf.constant([path.read_bytes()])).items()}
print(path.name, prediction["emotion/label"][0].decode(), f"{prediction['emotion/score'][0]:.3f}")

waveform = read(path, sample_rate=16000)[None]
keras_prediction = np.asarray(run.model()({"waveform": waveform, "length": np.array([waveform.shape[1]])})["emotion"])
print("largest difference from Keras:", float(abs(keras_prediction - prediction["emotion/probabilities"]).max()))

# %%
# The probabilities of the classes.
labels = run.recipe.tasks[0].labels
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.barh(labels, prediction["emotion/probabilities"][0], color="#0072B2")
axes.set(xlim=(0, 1), xlabel="probability", title=path.name)
