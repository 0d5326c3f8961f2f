"""Fashion-MNIST as Debian ships it, and the split every script of the zoo keeps to."""
import gzip
import os
import struct

import numpy as np

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
           "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
MEAN, STD = 0.2860, 0.3530

# The training file holds 60,000 images. The last 10,000 are the product's `labelled` table: it
# calibrates and chooses models on them, so nothing here may look at them. The first 50,000 are
# split once: fitted on, and held out (for the declared accuracy and every choice made here).
FIT = slice(0, 45_000)
HELD = slice(45_000, 50_000)

DEFAULT_DIR = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")


def _idx(path):
    with gzip.open(path, "rb") as f:
        raw = f.read()
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4:4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(part, directory=DEFAULT_DIR):
    """part 'fit', 'held' (both within the first 50,000 training images) or 'test'."""
    stem = "t10k" if part == "test" else "train"
    x = _idx(os.path.join(directory, f"{stem}-images-idx3-ubyte.gz"))
    y = _idx(os.path.join(directory, f"{stem}-labels-idx1-ubyte.gz"))
    if part != "test":
        cut = {"fit": FIT, "held": HELD}[part]
        x, y = x[cut], y[cut]
    return x, y.astype(np.int64)


def normalise(x):
    """uint8 [n,28,28] -> float32 [n,1,28,28], as the product prepares an image for these models."""
    return ((x.astype(np.float32) / 255.0 - MEAN) / STD)[:, None]


def targets(y, covers, other):
    """Label index of each image for a model over `covers`; -1 where it has no label for it."""
    lut = np.full(len(CLASSES), len(covers) if other else -1, np.int64)
    for i, name in enumerate(covers):
        lut[CLASSES.index(name)] = i
    return lut[y]
