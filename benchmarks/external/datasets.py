"""The external datasets: origin, licence, files and checksums. A new dataset is one more entry in RECORDS.

Checksums are those that TensorFlow Datasets publishes (tensorflow_datasets/url_checksums); where it has none, there is
none here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.external import formats
from benchmarks.external.formats import LabelledPictures

Content = Literal["digits", "letters", "outliers", "pictures"]

# Letters that have the shape of a digit in some handwriting, in upper or lower case (EMNIST has both in one class):
# a like 9 or 0, B and b like 8 and 6, D O Q U like 0, G and g like 6 and 9, I i j l like 1, q like 9, S like 5,
# T and t like 7 and 1, Y and y like 4 and 9, Z like 2. To reject them is not expected of a reader of digits.
LIKE_DIGITS = frozenset("ABDGIJLOQSTUYZ")


@dataclass(frozen=True)
class Record:
    """A dataset that a user may have.

    Attributes:
        title: of the table's row.
        content: digits to be read; letters or other outliers to be rejected; pictures with any number of digits.
        origin: authors, and year where known.
        url: where to get it.
        licence: as its publisher states it.
        files: SHA-256 by file name, None where it is not known. One is enough. No files: a Python package has it.
        decode: returns the images of one file.
        size: of the images, in words.
        ink: bright ink on dark or dark ink on bright.
        like_mnist: the images are 28x28, in the form of MNIST; others are normalised before they are classified.
    """

    title: str
    content: Content
    origin: str
    url: str
    licence: str
    files: dict[str, str | None]
    decode: Callable[[Path], LabelledPictures]
    size: str
    ink: Literal["bright", "dark"] = "bright"
    like_mnist: bool = False


EMNIST = "G. Cohen, S. Afshar, J. Tapson, A. van Schaik, 2017"
EMNIST_FILES: dict[str, str | None] = {"gzip.zip": "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e"}
OPTDIGITS = "E. Alpaydin, C. Kaynak, 1998"
SKLEARN = "https://scikit-learn.org/stable/datasets/toy_dataset.html"

# By the folder in which the files are looked for; what is after a space only tells records of one folder apart.
RECORDS = {
    "sklearn": Record(
        title="scikit-learn's digits",
        content="digits",
        origin=f"{OPTDIGITS}: the test set of Optdigits at 8x8",
        url=SKLEARN,
        licence="CC BY 4.0",
        files={},
        decode=formats.sklearn_digits,
        size="8x8, grey",
    ),
    "sklearn bitmaps": Record(
        title="scikit-learn's, binarised and cropped",
        content="digits",
        origin="made from the above: enlarged to 32x32, binarised, cropped to the ink",
        url=SKLEARN,
        licence="CC BY 4.0",
        files={},
        decode=formats.sklearn_bitmaps,
        size="up to 32x32, black and white",
    ),
    "usps": Record(
        title="USPS, test set",
        content="digits",
        origin="Y. LeCun et al., 1990; J. J. Hull, 1994",
        url="https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html#usps",
        licence="not stated",
        files={"usps.t.bz2": None, "zip.test.gz": None},
        decode=formats.usps,
        size="16x16, grey",
    ),
    "semeion": Record(
        title="Semeion",
        content="digits",
        origin="Semeion Research Center; M. Buscema, 1998",
        url="https://archive.ics.uci.edu/dataset/178/semeion+handwritten+digit",
        licence="CC BY 4.0",
        files={"semeion.data": None},
        decode=formats.semeion,
        size="16x16, black and white",
    ),
    "optdigits": Record(
        title="Optdigits",
        content="digits",
        origin=OPTDIGITS,
        url="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        licence="CC BY 4.0",
        files={f"optdigits-orig.{part}": None for part in ("tra", "cv", "wdep", "windep")},
        decode=formats.optdigits,
        size="32x32, black and white",
    ),
    "emnist digits": Record(
        title="EMNIST digits, test set",
        content="digits",
        origin=EMNIST,
        url="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        licence="not stated",
        files=EMNIST_FILES,
        decode=formats.emnist_digits,
        size="28x28, grey",
        like_mnist=True,
    ),
    "kensanata": Record(
        title="kensanata/numbers",
        content="digits",
        origin="A. Schroeder and contributors",
        url="https://github.com/kensanata/numbers",
        licence="CC0 1.0",
        files={"numbers": None, "numbers-master.zip": None},
        decode=formats.numbers,
        size="scans of various sizes",
        ink="dark",
    ),
    "ardis": Record(
        title="ARDIS, dataset IV, test set",
        content="digits",
        origin="H. Kusetogullari, A. Yavariabdi, A. Cheddad, H. Grahn, J. Hall, 2019",
        url="https://ardisdataset.github.io/ARDIS/",
        licence="research only, no redistribution",
        files={"ARDIS_test_2828.csv": None},
        decode=formats.ardis,
        size="28x28, grey",
    ),
    "own": Record(
        title="own pictures",
        content="pictures",
        origin="yours",
        url="",
        licence="",
        files={"labels.csv": None},
        decode=formats.labelled_files,
        size="any",
        ink="dark",
    ),
    "emnist letters": Record(
        title="EMNIST letters, test set",
        content="letters",
        origin=EMNIST,
        url="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        licence="not stated",
        files=EMNIST_FILES,
        decode=formats.emnist_letters,
        size="28x28, grey",
        like_mnist=True,
    ),
    "notmnist": Record(
        title="notMNIST, small",
        content="letters",
        origin="Y. Bulatov, 2011",
        url="http://yaroslavvb.blogspot.com/2011/09/notmnist-dataset.html",
        licence="not stated",
        files={"notMNIST_small.tar.gz": "76b2ef7ccc56452964780569db37b279c9cbe1bf442c3b38be784752683b3cec"},
        decode=formats.notmnist,
        size="28x28, grey",
        like_mnist=True,
    ),
    "omniglot": Record(
        title="Omniglot",
        content="outliers",
        origin="B. Lake, R. Salakhutdinov, J. Tenenbaum, 2015",
        url="https://github.com/brendenlake/omniglot/tree/master/python",
        licence="MIT",
        files={
            "images_background.zip": "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
            "images_evaluation.zip": "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
        },
        decode=formats.omniglot,
        size="105x105, black and white",
        ink="dark",
    ),
    "fashion-mnist": Record(
        title="Fashion-MNIST, test set",
        content="outliers",
        origin="H. Xiao, K. Rasul, R. Vollgraf, 2017",
        url="https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        files={"t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
        decode=formats.fashion_mnist,
        size="28x28, grey",
        like_mnist=True,
    ),
}
