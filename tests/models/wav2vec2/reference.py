"""Checkpoints with random weights as transformers writes them, and the hidden states that transformers computes from them.

    python -m tests.models.wav2vec2.reference    # in an environment with transformers: write `stored` anew

`stored` holds one checkpoint of each form, and what transformers made of `waveforms()`: the tests that read it need no PyTorch.
"""

import json
from pathlib import Path

import numpy as np

STORED = Path(__file__).parent / "stored"
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "conv_dim": (8, 6, 8, 6, 8, 6, 8),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
GROUP = {"feat_extract_norm": "group"}
LAYER = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
LENGTHS = (6000, 3333, 400)  # the last has a single frame


def waveforms(seed: int = 3) -> list[np.ndarray]:
    """Clips of LENGTHS, each with an offset and a level of its own, float32."""
    rng = np.random.default_rng(seed)
    made = [rng.normal(rng.normal(), rng.uniform(0.1, 3.0), n) for n in LENGTHS]
    return [wave.astype("float32") for wave in made]


def padded(waves) -> tuple[np.ndarray, np.ndarray]:
    """(zero-padded waveforms (batch, samples), which samples are real)."""
    mask = np.arange(max(map(len, waves))) < np.array([len(wave) for wave in waves])[:, None]
    x = np.zeros(mask.shape, "float32")
    x[mask] = np.concatenate(waves)
    return x, mask


def standardized(x: np.ndarray) -> np.ndarray:
    """As the feature extractor of transformers does it, of one waveform."""
    return (x - x.mean()) / np.sqrt(x.var() + 1e-7)


def make(folder: Path, kind: str, seed: int = 0, **settings):
    """A model of transformers with random weights of every kind, saved to a folder with its preprocessor's settings.

    Args:
        folder: where the checkpoint goes.
        kind: "Wav2Vec2" or "Hubert".
        seed: of the weights.
        settings: of its config, beside SIZES.
    """
    import torch
    import transformers

    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **settings}, attn_implementation="eager")
    model = getattr(transformers, f"{kind}Model")(config).eval()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            scale = 0.5 if weight.ndim == 1 else 1.5 / np.sqrt(np.prod(weight.shape[1:]))
            value = rng.normal(scale=scale, size=tuple(weight.shape)) + ("norm.weight" in name)
            weight.copy_(torch.from_numpy(value))
        # the magnitudes of the positional convolution are positive
        magnitude = model.encoder.pos_conv_embed.conv.parametrizations.weight.original0
        magnitude.copy_(magnitude.abs() + 0.5)
    model.save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(
        do_normalize=True, return_attention_mask=settings.get("feat_extract_norm") == "layer"
    ).save_pretrained(folder)
    return model


def hidden_states(model, x: np.ndarray, mask: np.ndarray | None = None) -> list[np.ndarray]:
    """All hidden states of transformers for standardised waveforms, the last one as the model puts it out."""
    import torch

    given = {} if mask is None else {"attention_mask": torch.from_numpy(mask.astype("int64"))}
    with torch.no_grad():
        found = model(torch.from_numpy(x), output_hidden_states=True, **given)
    return [state.numpy() for state in (*found.hidden_states[:-1], found.last_hidden_state)]


def main() -> None:
    import transformers

    for name, kind, settings in (("group", "Wav2Vec2", GROUP), ("layer", "Hubert", LAYER)):
        folder = STORED / name
        model = make(folder, kind, **settings)
        alone = {}
        for i, wave in enumerate(waveforms()):
            states = hidden_states(model, standardized(wave)[None])
            alone |= {f"clip {i}, state {j}": state[0] for j, state in enumerate(states)}
        np.savez_compressed(folder / "expected.npz", **alone)
        for file in folder.glob("*.json"):
            file.write_text(json.dumps(json.loads(file.read_text()), indent=1, sort_keys=True) + "\n")
        print(folder, "by transformers", transformers.__version__)


if __name__ == "__main__":
    main()
