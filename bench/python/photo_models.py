#!/usr/bin/env python3
"""Makes two models for `predictsql-bench decode`: run by `scripts/setup.sh bench` after photos.py.

usage: photo_models.py TARGET

TARGET is the folder that photos.py filled. It gets:
  nearest.onnx       says which of the first 200 files of medium/ an image resembles most: the
                     network of open_nsfw.onnx, and behind its 1,024 features the nearest file's
  means.onnx         the means of the channels of a 224 x 224 image, which cost next to nothing
The files are written in the wire format of protocol buffers: messages appended to a model are
merged with it, so that nodes and outputs are added to its graph.
"""
import sys
from pathlib import Path
import numpy, onnxruntime
from PIL import Image

FEATURES = "/ReduceMean_output_0"
KNOWN, BATCH = 200, 20
FLOAT, INTS = 1, 7

target = Path(sys.argv[1])


def varint(number):
    low = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([byte | 0x80 for byte in low[:-1]] + low[-1:])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def node(kind, inputs, output, attributes=b""):
    return field(1, b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, kind) + attributes)


def tensor(name, values):
    sides = b"".join(field(1, side) for side in values.shape)
    return field(5, sides + field(2, FLOAT) + field(8, name) + field(9, values.astype("<f4").tobytes()))


def value(number, name, sides):
    """An input (11) or output (12) of these sides behind the batch."""
    shape = field(1, field(2, "batch")) + b"".join(field(1, field(1, side)) for side in sides)
    return field(number, field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape))))


def pixels(path):
    image = Image.open(path).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
    samples = numpy.asarray(image.crop((16, 16, 240, 240)), dtype=numpy.float32)
    return samples[:, :, ::-1] - numpy.array([104, 117, 123], dtype=numpy.float32)


def features(network):
    """Of each known file, [file, feature]."""
    session = onnxruntime.InferenceSession(network + field(7, value(12, FEATURES, [1024])))
    name = session.get_inputs()[0].name
    found = []
    for first in range(1, KNOWN + 1, BATCH):
        numbers = range(first, first + BATCH)
        images = numpy.stack([pixels(target / "medium" / f"{number:05}.jpg") for number in numbers])
        found.append(session.run([FEATURES], {name: images})[0])
    return numpy.concatenate(found)


def main():
    network = (target / "open_nsfw.onnx").read_bytes()
    known = features(network)
    # The squared distance to a file, less what all have in common, with the opposite sign.
    added = node("MatMul", [FEATURES, "known_weights"], "known_products")
    added += node("Add", ["known_products", "known_bias"], "known_logits")
    added += tensor("known_weights", 2 * known.T) + tensor("known_bias", -(known**2).sum(1))
    added += value(12, "known_logits", [KNOWN])
    (target / "nearest.onnx").write_bytes(network + field(7, added))
    axes = field(5, field(1, "axes") + field(8, 2) + field(8, 3) + field(20, INTS))
    keep = field(5, field(1, "keepdims") + field(3, 0) + field(20, 2))
    graph = node("ReduceMean", ["image"], "means", axes + keep) + field(2, "means")
    graph += value(11, "image", [3, 224, 224]) + value(12, "means", [3])
    model = field(1, 8) + field(7, graph) + field(8, field(2, 17))
    (target / "means.onnx").write_bytes(model)


if __name__ == "__main__":
    main()
