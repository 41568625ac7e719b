"""
Scores of a run
===============

Train ASP-MTL on the demo corpus, test it on two unseen speakers, and plot each score. With two speakers there is no
interval, and the report says so. ``report.md`` in the folder of the experiment contains all details.
"""

import demo_run

from keras_ser.reports import pictures

report = demo_run.report()
print("\n".join(report.lines()))

# %%
# UAR, accuracy, F1 and the recall of each class; the dotted line is chance.
figure = pictures.scores(report.results)
