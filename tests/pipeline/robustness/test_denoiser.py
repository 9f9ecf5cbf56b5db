from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from digits.errors import InputError
from digits.interface import INPUT
from pipeline import runtime
from pipeline.datasets.arrays import LabelledImages
from pipeline.onnx_graph.export import to_onnx
from pipeline.ood import outliers
from pipeline.params import Params
from pipeline.robustness import denoiser
from pipeline.robustness.canonicalize import Canonicalizer, apply
from pipeline.robustness.denoiser import Denoiser, FittedDenoiser


def fit(digits: LabelledImages, settings: Params) -> FittedDenoiser:
    """Fit a small denoiser to 1,000 digits."""
    others = outliers.generate(100, digits.images, digits.labels, seed=1)
    how = settings.canonicalizer.model_copy(update={"steps": 120, "width": 8, "batch_size": 32, "max_changed": 0.02})
    runtime.seed(0)
    return denoiser.fit(digits.first(1000), others, digits.images[1000:], how)


@pytest.fixture(scope="module")
def fitted(digits: LabelledImages, settings: Params) -> FittedDenoiser:
    return fit(digits, settings)


def test_corrupted_digits_are_closer_to_the_clean_ones(fitted: FittedDenoiser, digits: LabelledImages) -> None:
    clean = torch.from_numpy(digits.at(np.arange(1000, 1400)).scaled())
    torch.manual_seed(3)
    for corrupted in (1 - clean, clean * 0.2 + 0.4, clean + 0.3 * torch.randn(clean.shape)):
        with torch.no_grad():
            restored = torch.sigmoid(fitted.network(corrupted.clamp(0, 1))[0])
        assert (restored - clean).abs().mean() < 0.7 * (corrupted - clean).abs().mean()


def test_few_clean_images_count_as_corrupted_and_most_others_do(fitted: FittedDenoiser, digits: LabelledImages) -> None:
    clean = torch.from_numpy(digits.at(np.arange(1000, len(digits))).scaled())
    with torch.no_grad():
        of_clean, of_inverted = (fitted.network(images)[1] > fitted.threshold for images in (clean, 1 - clean))
    assert int(of_clean.sum()) == int(0.02 * len(clean))
    assert of_inverted.float().mean() > 0.9


def test_onnx_and_torch_give_the_same_images(fitted: FittedDenoiser, digits: LabelledImages) -> None:
    canonicalizer = Canonicalizer(fitted.network, fitted.threshold).eval()
    images = np.concatenate([digits.images[:40], 255 - digits.images[:40]])
    with torch.no_grad():
        expected = canonicalizer(torch.from_numpy(images[:, None] / np.float32(255)))[:, 0].numpy() * 255
    session = onnxruntime.InferenceSession(to_onnx(canonicalizer, "canonical").SerializeToString())
    found = session.run(None, {INPUT: np.divide(images[:, None], 255, dtype=np.float32)})[0][:, 0] * 255
    assert np.abs(found - expected).max() < 0.1
    assert np.abs(found[40:] - images[40:]).mean() > 50


def test_a_saved_canonicalizer_is_loaded_as_it_was(
    fitted: FittedDenoiser, digits: LabelledImages, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    images = np.concatenate([digits.images[:40], 255 - digits.images[:40]])
    loaded, trained = denoiser.load(tmp_path), fitted.canonicalizer()
    assert loaded.threshold == trained.threshold
    for one, other in zip(loaded.parameters(), trained.parameters(), strict=True):
        assert torch.equal(one, other)
    found, expected = (apply(each, images).astype(int) for each in (loaded, trained))
    assert np.abs(found - expected).max() <= 1  # weights in another memory format are summed in another order
    assert (found != expected).mean() < 0.001
    content = bytearray((tmp_path / denoiser.WEIGHTS).read_bytes())
    content[-1] ^= 1
    (tmp_path / denoiser.WEIGHTS).write_bytes(content)
    with pytest.raises(InputError, match=r"denoiser\.safetensors: expected SHA-256"):
        denoiser.load(tmp_path)


def test_the_same_seed_gives_the_same_weights(fitted: FittedDenoiser, digits: LabelledImages, settings: Params) -> None:
    again = fit(digits, settings)
    assert again.threshold == fitted.threshold
    for one, other in zip(again.network.parameters(), fitted.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_outputs_have_the_shape_of_the_input() -> None:
    restored, corrupted = Denoiser(4).eval()(torch.zeros(3, 1, 28, 28))
    assert restored.shape == (3, 1, 28, 28)
    assert corrupted.shape == (3, 1)
