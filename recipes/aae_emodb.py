"""AAE-MTL on EmoDB: emotion, gender and speaker, the paper's models and controls; 535 clips, 10 speakers, 7 emotions.

    python recipes/aae_emodb.py --corpus-root EMODB --protocol disjoint --systems aae,aae-single
    .. --corpus-root librispeech=DIR --corpus-root manifest=CLIPS.csv        auxiliary corpora: speakers and genders only
    .. --variant shares                                                      emotion labels for 10 to 100 % of the speakers
    .. --variant speakers --corpus-root manifest=CLIPS.csv                   sweep of the auxiliary speakers, 0 to 65
    .. --variant speakers-gender (or speakers-identity)                      the same with one auxiliary task
    .. --variant alpha (or beta)                                             sweep of a loss weight
    .. --variant paper                                                       the paper's optimizer
    .. --corpus manifest --corpus-root CLIPS.csv                             your own corpus, with the same variants

Protocols: ten folds of clips with every speaker in each, and leave one speaker out (five folds of speakers if there are more than
twelve). recipes/aae.py describes the systems.

The paper did not use EmoDB. Its optimizer, SGD at 1e-4 without momentum, would make only 15 steps per epoch here. With Adam at
1e-3 and the paper's schedule of restoring and halving, the clips of one validation speaker selected epochs 9 to 17 of about 30 in
nine of ten folds ("cnn-single"), at which the training accuracy was still rising. The default is Adam with a learning rate that
falls from 1e-3 to 0 in 25 epochs; the last epoch is kept, and there is no validation speaker. The discriminator has a tenth of
that learning rate: with the full rate its accuracy was 1 from the second epoch on, with a tenth it was 0.8 (one fold, eight
epochs). Even so, the code does not clearly approach its prior (docs/papers/aae_mtl.md).
"""

from collections.abc import Sequence
from dataclasses import replace

from aae import SHARES, TEN, main, systems
from aae_sweeps import more_speakers, shares, weights
from aspmtl_emodb import EMOTION

from keras_ser.cli.other_corpus import LEAVE_ONE_OUT
from keras_ser.cli.recipe_script import flat
from keras_ser.models.aae_mtl import Config
from keras_ser.recipe import OptimizerConfig, Recipe
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

ADAM = OptimizerConfig("adam", 1e-3, schedule="plateau", factor=0.5, floor=1e-4)
OURS = {
    "optimizer": OptimizerConfig("adam", 1e-3, schedule="cosine"),
    "epochs": 25,
    "patience": 0,
    "monitor": "",
    "config": Config(discriminator_rate=0.1),
    "seeds": (0, 1, 2),
}
COUNTS = (0, 5, 15, 30, 65)


def variants(
    corpus: str = "emodb",
    emotion: Task = EMOTION,
    protocol: Protocol = LEAVE_ONE_OUT,
    given: Sequence[int] = SHARES[1:],
    **changes,
) -> dict[str, dict[str, Recipe]]:
    """Return variant -> system -> recipe; `given`: the shares of labelled speakers, `changes`: of all but the variant "paper"."""
    name, auxiliary = f"aae_{corpus}", "librispeech" if corpus == "manifest" else "manifest"
    changes = {**OURS, **changes}
    clips, unseen = (replace(each, validation=0) for each in (TEN, protocol))
    both = {"protocols": (clips, unseen), **changes}
    return {
        corpus: systems(name, corpus, emotion, **both),
        "shares": shares(f"{name}_shares", corpus, emotion, unseen, given, **changes),
        **more_speakers(name, corpus, emotion, COUNTS, auxiliary, **both),
        **weights(name, corpus, emotion, protocols=(unseen,), **changes),
        "paper": systems(f"{name}_paper", corpus, emotion, (TEN, protocol)),
    }


VARIANTS = variants()
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__, of_corpus=variants))
