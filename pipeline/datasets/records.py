"""The known datasets: origin, licence, files, checksums, counts, classes. A new dataset is one more entry in RECORDS.

A checksum that is not of a file downloaded for this project has its source beside it.
"""

import difflib
import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from digits.errors import InputError
from digits.interface import SIZE
from pipeline.datasets import decoders
from pipeline.datasets.arrays import Shape

FOLDER = "folder"  # the dataset that is a folder of images, data/own
MNIST_SHAPE = Shape(1, SIZE, SIZE)


@dataclass(frozen=True)
class File:
    """One file as its publisher offers it.

    Attributes:
        checksum: hexadecimal.
        kind: of the checksum. MD5 only where no SHA-256 is published. That of the content of a gzip file accepts
            mirrors that compressed it again.
    """

    name: str
    checksum: str
    kind: Literal["SHA-256", "MD5", "SHA-256 of the content"] = "SHA-256"

    def __str__(self) -> str:
        return self.checksum if self.kind == "SHA-256" else f"{self.checksum} ({self.kind})"


@dataclass(frozen=True)
class Record:
    """A dataset.

    Attributes:
        title, licence: for reports.
        origin: authors, name and year.
        citation: the publication that its authors ask to cite.
        mirrors: HTTPS addresses of folders, tried in order.
        files: as published.
        decode: returns images and labels of a split from the folder of the files. See `pipeline.datasets.decoders`.
        train, test: number of images in each of the published splits.
        published: the size of a published image.
        classes: names, in the order of the labels.
        digits: these are handwritten digits, bright on dark. They are prepared at 28x28.
        warp: factor of an augmentation policy's shift, rotation, scale, shear and elastic: writing varies more than
            pictures of objects.
        horizontal_flip: swapping left and right does not change an image's class.
        bundled: returns images and labels by the name of a file's role, for data that a Python package contains.
        source: datasets with the same source share the cache of downloads; its own name if empty.
    """

    title: str
    origin: str
    licence: str
    citation: str
    mirrors: tuple[str, ...]
    files: tuple[File, ...]
    decode: Callable[[Path, str], tuple[np.ndarray, np.ndarray]]
    train: int
    test: int
    classes: tuple[str, ...] = tuple(string.digits)
    published: Shape = MNIST_SHAPE
    digits: bool = False
    warp: float = 1.0
    horizontal_flip: bool = False
    bundled: Callable[[], dict[str, np.ndarray]] | None = None
    source: str = ""

    @property
    def shape(self) -> Shape:
        """Return the size of a prepared image."""
        return MNIST_SHAPE if self.digits else self.published


MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://yann.lecun.com/exdb/mnist/",
)
MNIST_TRAIN = (
    File("train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    File("train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
)


def _emnist(name: str, title: str, train: int, test: int, classes: str) -> Record:
    """Return the record of the set `name` of EMNIST: https://www.nist.gov/itl/products-and-services/emnist-dataset.

    All sets are in one archive of 562 MB. Its checksum is from TensorFlow Datasets (url_checksums/emnist.txt).
    """
    return Record(
        title=title,
        origin="G. Cohen, S. Afshar, J. Tapson, A. van Schaik: EMNIST, 2017",
        licence="not stated",
        citation="G. Cohen, S. Afshar, J. Tapson, A. van Schaik: EMNIST: an extension of MNIST to handwritten letters. "
        "arXiv:1702.05373, 2017",
        mirrors=(
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ),
        files=(File(decoders.EMNIST_ARCHIVE, "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"),),
        decode=partial(decoders.emnist, name=name),
        train=train,
        test=test,
        classes=tuple(classes),
        digits=name == "digits",
        source="emnist",
    )


RECORDS = {
    # Checksums of the four files as published since 1998.
    "mnist": Record(
        title="MNIST, 70,000 digits of 28x28 pixels",
        origin="Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits, 1998",
        licence="CC BY-SA 3.0, as the documentation of Keras has it",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. "
        "Proceedings of the IEEE 86(11), 2278-2324, 1998",
        mirrors=MNIST_MIRRORS,
        files=(
            *MNIST_TRAIN,
            File("t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            File("t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        decode=decoders.mnist,
        train=60_000,
        test=10_000,
        digits=True,
    ),
    # Checksums of the content, since there are copies of these files with other gzip headers. With the published header
    # the files have the SHA-256 that TensorFlow Datasets states (url_checksums/fashion_mnist.txt).
    "fashion_mnist": Record(
        title="Fashion-MNIST, 70,000 articles of clothing of 28x28 pixels",
        origin="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, 2017",
        licence="MIT",
        citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for benchmarking machine "
        "learning algorithms. arXiv:1708.07747, 2017",
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        ),
        files=tuple(
            File(f"{name}-ubyte.gz", checksum, "SHA-256 of the content")
            for name, checksum in (
                ("train-images-idx3", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
                ("train-labels-idx1", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
                ("t10k-images-idx3", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
                ("t10k-labels-idx1", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
            )
        ),
        decode=decoders.mnist,
        train=60_000,
        test=10_000,
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        warp=0.25,
        horizontal_flip=True,
    ),
    # Checksums from TensorFlow Datasets (url_checksums/kmnist.txt).
    "kmnist": Record(
        title="Kuzushiji-MNIST, 70,000 hiragana of 28x28 pixels",
        origin="Center for Open Data in the Humanities: KMNIST dataset, 2018; adapted from the Kuzushiji dataset of "
        "the National Institute of Japanese Literature and others",
        licence="CC BY-SA 4.0",
        citation="T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha: Deep learning for classical "
        "Japanese literature. arXiv:1812.01718, 2018",
        mirrors=("https://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        files=(
            File("train-images-idx3-ubyte.gz", "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"),
            File("train-labels-idx1-ubyte.gz", "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"),
            File("t10k-images-idx3-ubyte.gz", "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"),
            File("t10k-labels-idx1-ubyte.gz", "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
        ),
        decode=decoders.mnist,
        train=60_000,
        test=10_000,
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    # Letters of which both cases look alike are one class.
    "emnist_balanced": _emnist(
        "balanced",
        "EMNIST balanced, 131,600 digits and letters of 28x28 pixels",
        train=112_800,
        test=18_800,
        classes=string.digits + string.ascii_uppercase + "abdefghnqrt",
    ),
    # Upper and lower case of a letter are one class.
    "emnist_letters": _emnist(
        "letters",
        "EMNIST letters, 145,600 letters of 28x28 pixels",
        train=124_800,
        test=20_800,
        classes=string.ascii_uppercase,
    ),
    "emnist_digits": _emnist(
        "digits", "EMNIST digits, 280,000 digits of 28x28 pixels", train=240_000, test=40_000, classes=string.digits
    ),
    # MNIST's training images, and the test images of MNIST reconstructed from NIST's database: the first 10,000 are
    # MNIST's, the others were lost. MD5 from torchvision.datasets.QMNIST; nobody publishes a SHA-256.
    "qmnist": Record(
        title="QMNIST, the 60,000 training digits of MNIST and 60,000 reconstructed test digits of 28x28 pixels",
        origin="C. Yadav, L. Bottou: QMNIST, 2019; training images: Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST "
        "database of handwritten digits, 1998",
        licence="BSD-style; training images: CC BY-SA 3.0, as the documentation of Keras has it",
        citation="C. Yadav, L. Bottou: Cold case: the lost MNIST digits. Advances in Neural Information Processing "
        "Systems 32, 2019",
        mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/", *MNIST_MIRRORS),
        files=(
            *MNIST_TRAIN,
            File("qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412", "MD5"),
            File("qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa", "MD5"),
        ),
        decode=decoders.qmnist,
        train=60_000,
        test=60_000,
        digits=True,
    ),
    # MD5 from torchvision.datasets.USPS; nobody publishes a SHA-256.
    "usps": Record(
        title="USPS, 9,298 digits of 16x16 pixels from envelopes, resized to 28x28",
        origin="Y. LeCun et al., 1990; J. J. Hull, 1994",
        licence="not stated",
        citation="J. J. Hull: A database for handwritten text recognition research. IEEE Transactions on Pattern "
        "Analysis and Machine Intelligence 16(5), 550-554, 1994",
        mirrors=("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",),
        files=(
            File("usps.bz2", "ec16c51db3855ca6c91edd34d0e9b197", "MD5"),
            File("usps.t.bz2", "8ea070ee2aca1ac39742fdd1ef5ed118", "MD5"),
        ),
        decode=decoders.usps,
        train=7_291,
        test=2_007,
        published=Shape(1, decoders.USPS_SIDE, decoders.USPS_SIDE),
        digits=True,
    ),
    # The test file of Optical Recognition of Handwritten Digits, which scikit-learn contains: 1,797 digits by 13
    # writers. Quickstart and tests use it because it needs no network.
    "digits": Record(
        title="scikit-learn's digits, 1,797 digits of 8x8 pixels by 13 writers, resized to 28x28",
        origin="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI, 1998",
        licence="CC BY 4.0",
        citation="E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning Repository, "
        "1998, doi:10.24432/C50P49",
        mirrors=(),
        files=(
            File("train-images-idx3-ubyte", "1192d80fb13b41bd405974e7276f8c82d0b32e4f26b229444c27b9e486971746"),
            File("train-labels-idx1-ubyte", "f8a600b73e2c056aa42316260206e6643bd33e96bd71cfb8e32b94f76fac4f93"),
            File("t10k-images-idx3-ubyte", "80510fc9162448f4c8666335357ea127bd14ff20c9a09e20a09f3b8d96ef1ca3"),
            File("t10k-labels-idx1-ubyte", "cf2c8a23974df0c99eb3f36ff34c02acb9be1c84aca7280211ef04bea1135360"),
        ),
        decode=partial(decoders.mnist, suffix=""),
        train=1_437,
        test=360,
        published=Shape(1, 8, 8),
        digits=True,
        bundled=decoders.sklearn_digits,
    ),
    # Files, counts, classes and size are those of the images found, see pipeline/datasets/folder.py.
    FOLDER: Record(
        title="own images",
        origin="Your own images",
        licence="yours",
        citation="",
        mirrors=(),
        files=(),
        decode=decoders.own_images,
        train=0,
        test=0,
        classes=(),
    ),
}


def get(name: str) -> Record:
    """Return the record called `name`.

    Raises:
        InputError: there is none.
    """
    if name not in RECORDS:
        near = difflib.get_close_matches(name, RECORDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"params.yaml: dataset: found {name!r}.{hint} Allowed: {', '.join(RECORDS)}.")
    return RECORDS[name]
