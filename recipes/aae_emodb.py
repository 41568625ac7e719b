"""AAE-MTL on EmoDB: emotion, gender and speaker, the paper's models and controls; 535 clips, 10 speakers, 7 emotions.

    python recipes/aae_emodb.py --corpus-root EMODB --protocol disjoint --systems aae,aae-single
    .. --corpus-root librispeech=DIR --corpus-root manifest=CLIPS.csv        auxiliary corpora: speakers and genders only
    .. --variant shares                                                      emotion labels for 10 to 100 % of the speakers
    .. --variant speakers --corpus-root manifest=CLIPS.csv                   sweep of the auxiliary speakers, 0 to 65
    .. --variant speakers-gender (or speakers-identity)                      the same, one task alone
    .. --variant alpha (or beta)                                             sweep of a loss weight
    .. --variant paper                                                       the paper's optimizer

Protocols: ten folds of clips with every speaker in each, and leave one speaker out. The paper did not use EmoDB. With its
optimizer, SGD at 1e-4 without momentum, an epoch would have only 15 steps here. Adam at 1e-3 with the paper's schedule of restoring
and halving kept epochs 9 to 17 of about 30 in nine of ten folds ("cnn-single"), chosen on the clips of one speaker while the
training accuracy was still rising. The default is Adam with a learning rate that falls from 1e-3 to 0 in 25 epochs; the last one is
kept, and no speaker validates. The discriminator has a tenth of that learning rate: with the full rate its accuracy was 1 from the
second epoch on, with a tenth 0.8 (one fold, eight epochs). recipes/aae.py describes the systems.
"""

from dataclasses import replace

from aae import SHARES, SPEAKERS, TEN, main, systems
from aae_sweeps import more_speakers, shares, weights

from keras_ser.cli.recipe_script import flat
from keras_ser.corpora.emodb import EMOTIONS
from keras_ser.models.aae_mtl import Config
from keras_ser.recipe import OptimizerConfig
from keras_ser.tasks import Task

EMOTION = Task("emotion", tuple(sorted(EMOTIONS.values())))
ADAM = OptimizerConfig("adam", 1e-3, schedule="plateau", factor=0.5, floor=1e-4)
OURS = {
    "optimizer": OptimizerConfig("adam", 1e-3, schedule="cosine"),
    "epochs": 25,
    "patience": 0,
    "monitor": "",
    "config": Config(discriminator_rate=0.1),
    "seeds": (0, 1, 2),
}
CLIPS, UNSEEN = (replace(protocol, validation=0) for protocol in (TEN, SPEAKERS))
COUNTS = (0, 5, 15, 30, 65)
VARIANTS = {
    "emodb": systems("aae_emodb", "emodb", EMOTION, (CLIPS, UNSEEN), **OURS),
    "shares": shares("aae_emodb_shares", "emodb", EMOTION, UNSEEN, 9, SHARES[1:], **OURS),
    **more_speakers("aae_emodb", "emodb", EMOTION, COUNTS, "manifest", protocols=(CLIPS, UNSEEN), **OURS),
    **weights("aae_emodb", "emodb", EMOTION, protocols=(UNSEEN,), **OURS),
    "paper": systems("aae_emodb_paper", "emodb", EMOTION),
}
RECIPES = flat(VARIANTS)

if __name__ == "__main__":
    raise SystemExit(main(VARIANTS, __doc__))
