"""AAE-MTL on RAVDESS (speech): emotion, gender and speaker, the paper's models and controls; 1440 clips, 24 actors, 8 emotions.

    python recipes/aae_ravdess.py --corpus-root RAVDESS --protocol disjoint --systems aae,aae-single
    .. --corpus-root librispeech=DIR --corpus-root manifest=CLIPS.csv        auxiliary corpora: speakers and genders only
    .. --variant shares                                                      emotion labels for 5 to 100 % of the speakers
    .. --variant speakers --corpus-root manifest=CLIPS.csv                   sweep of the auxiliary speakers, 0 to 65
    .. --variant speakers-gender (or speakers-identity)                      the same with one auxiliary task
    .. --variant alpha (or beta)                                             sweep of a loss weight
    .. --variant paper                                                       the paper's optimizer
    .. --corpus manifest --corpus-root CLIPS.csv                             your own corpus, in as many epochs

Protocols: ten folds of clips with every actor in each, and six folds of four actors. The paper did not use RAVDESS.
recipes/aae_emodb.py explains why the default training differs from the paper's; recipes/aae.py describes the systems. In EmoDB's
25 epochs, "aae" did not learn its training set (training UAR 51 % in fold 0); in 75 epochs it did (82 %).
"""

from functools import partial

from aae import SHARES, main
from aae_emodb import variants
from aspmtl_ravdess import ACTORS, EMOTION

from keras_ser.cli.recipe_script import flat

longer = partial(variants, given=SHARES, epochs=75)
VARIANTS = longer("ravdess", EMOTION, ACTORS)
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__, of_corpus=longer))
