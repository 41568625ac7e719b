"""ASP-MTL on EmoDB: 535 clips, 10 speakers, 7 emotions, German.

    python recipes/aspmtl_emodb.py --corpus-root EMODB     the paper's random split and leave one speaker out, three seeds
    .. --protocol disjoint                                 leave one speaker out only
    .. --variant conv                                      the convolutional encoder (see recipes/aspmtl.py)

The paper did not use EmoDB, so there is no paper column. The UAR of baselines on the same folds: openSMILE eGeMAPS + SVC 63.5,
ComParE + SVC 77.5. docs/papers/aspmtl.md reports results and cost of each variant.
"""

from aspmtl import RANDOM, variants

from keras_ser.cli import recipe_main
from keras_ser.corpora.emodb import EMOTIONS
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

EMOTION = Task("emotion", tuple(sorted(EMOTIONS.values())))
LOSO = Protocol("leave-one-speaker-out", "leave-one-out", by="speaker", validation=1)
RECIPES = variants("aspmtl_emodb", "emodb", EMOTION, (RANDOM, LOSO))

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__))
