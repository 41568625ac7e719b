"""Pre-training of AAE-MTL on the speakers and genders of a corpus without emotions, for `--init-from` of the other aae recipes.

    python recipes/aae_pretrain.py --corpus-root LIBRISPEECH --aux-speakers 600
    .. --corpus-root slr45=SLR45 --aux-speakers slr45=0                      add a corpus with all its speakers: half of each batch
    .. --variant adam                                                        Adam at 1e-3 instead of the paper's SGD at 1e-4
    .. --variant manifest --corpus-root CLIPS.csv                            the same with your own table of speakers and genders
    python recipes/aae_emodb.py --corpus-root EMODB --init-from saved_models/aae_pretrain-HASH

A tenth of each speaker's clips of the first corpus selects the epoch, and another tenth is tested; added corpora only train. The
paper uses 600 speakers of LibriSpeech's train-clean-360; for these, LIBRISPEECH is the folder of that subset. When another recipe
starts from this run, speaker and gender heads with other classes are initialised randomly.
"""

from aae import GENDER, SPEAKER, auxiliary_arguments, base, pretrained_on
from aae_emodb import ADAM

from keras_ser.cli import recipe_main
from keras_ser.models.aae_mtl import Config
from keras_ser.splits import Protocol

EACH = Protocol("every-speaker-on-each-side", test=0.1, validation=0.1)  # stratified by the main task, the speaker
PAPER = base("aae_pretrain", "librispeech", (SPEAKER, GENDER), Config(beta=0.5), (EACH,), seeds=(0,))
ADAPTED = {"optimizer": ADAM, "config": Config(beta=0.5, discriminator_rate=0.1)}
RECIPES = {
    "librispeech": PAPER,
    "adam": PAPER.replace(name="aae_pretrain_adam", **ADAPTED),
    "manifest": PAPER.replace(name="aae_pretrain_manifest", corpus="manifest", **ADAPTED),
}

if __name__ == "__main__":
    raise SystemExit(recipe_main(RECIPES, __doc__, arguments=auxiliary_arguments, adjust=pretrained_on))
