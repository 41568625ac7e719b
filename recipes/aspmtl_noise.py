"""Model 1 of ASP-MTL as a denoiser: tables 5 to 8 of the paper, on the test speakers of every fold.

    python recipes/aspmtl_noise.py                                                       the demo corpus
    python recipes/aspmtl_noise.py --corpus-root EMODB --noise-root NOISES               EmoDB, five folds of two speakers
    python recipes/aspmtl_noise.py --variant ravdess --corpus-root RAVDESS --noise-root NOISES --unseen factory

Noises are files under --noise-root (white, pink, babble, factory: NOISEX-92's names), or generated (white, pink, babble of the
training speakers). The first 60 % of a file are used in training and the last 20 % in testing; --unseen holds out noises: a
file (factory1) or all files of a type (factory).

SNR_out is the paper's eq. 23. Since eq. 23 alone rewards silence, SI-SDR, PESQ and STOI are also reported if their packages are
installed (pip install ".[denoise]" pesq). The paper does not name the recordings behind its tables, so its scores are not directly
comparable.
"""

from aspmtl import model_1
from aspmtl_afew import EMOTION as SEVEN

from keras_ser.cli import recipe_main
from keras_ser.cli.noises import add_noise_arguments, with_noises
from keras_ser.cli.tables import denoising_tables
from keras_ser.corpora import emodb, ravdess
from keras_ser.splits import Protocol
from keras_ser.tasks import Task

# paper, tables 5 to 8: SNR_in -> [26], [27], proposed
TABLES = {
    "white": {10: (15.87, 13.04, 18.01), 5: (12.92, 10.89, 13.84), -10: (3.74, 3.09, 4.56), -5: (7.28, 6.04, 8.76)},
    "pink": {10: (14.57, 12.11, 16.45), 5: (11.37, 9.89, 12.41), -10: (2.54, 3.06, 4.32), -5: (5.01, 5.19, 6.76)},
    "babble": {10: (14.49, 12.18, 16.51), 5: (11.54, 9.91, 13.09), -10: (2.36, 3.13, 4.39), -5: (5.13, 5.24, 7.02)},
    "factory": {10: (15.76, 12.99, 18.84), 5: (11.97, 9.02, 13.26), -10: (4.09, 3.08, 5.02), -5: (6.98, 4.49, 8.76)},
}
COLUMNS = ("wavelet-lms", "spectral-subtraction", "proposed")
PAPER = {
    (noise, float(snr)): dict(zip(COLUMNS, figures, strict=True))
    for noise, rows in TABLES.items()
    for snr, figures in rows.items()
}


def folds(number: int) -> tuple[Protocol, ...]:
    """Return folds without validation speakers, since all epochs are trained."""
    return (Protocol("folds-of-speakers", "k-fold", by="speaker", folds=number, validation=0),)


def emotion(labels) -> Task:
    return Task("emotion", tuple(sorted(labels)))


DEMO = "demo"
RECIPES = {
    "emodb": model_1("aspmtl_noise", "emodb", emotion(emodb.EMOTIONS.values()), folds(5), seeds=(0,)),
    "ravdess": model_1("aspmtl_noise_ravdess", "ravdess", emotion(ravdess.EMOTIONS.values()), folds(6), seeds=(0,)),
    "demo": model_1(
        "aspmtl_noise_demo",
        "demo",
        SEVEN,
        folds(2),
        epochs=2,
        seeds=(0,),
    ),
}

if __name__ == "__main__":
    raise SystemExit(
        recipe_main(
            RECIPES,
            __doc__,
            DEMO,
            arguments=add_noise_arguments,
            adjust=with_noises,
            reports=denoising_tables(PAPER),
        )
    )
