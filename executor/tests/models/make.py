"""Makes the small ONNX models of the executor's tests: same bytes every time.

    pip install onnx==1.19.1 numpy && python3 executor/tests/models/make.py

Each model answers which of the three colour channels of an 8 x 8 image is strongest: its logits are
GAIN times the mean of each channel, so that the tests can compute the answer themselves.
"""

import pathlib

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
SIDE = 8
GAIN = 10.0
FLOAT = TensorProto.FLOAT


def info(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def save(
    name, nodes, inputs, outputs, initializers=(), opsets=(("", 17),), check=True, functions=()
):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    model = helper.make_model(
        graph,
        functions=list(functions),
        producer_name="predictsql-tests",
        ir_version=8,
        opset_imports=[helper.make_opsetid(*opset) for opset in opsets],
    )
    if check:
        checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def weights(columns=3):
    eye = np.zeros((3, columns), np.float32)
    for i in range(min(3, columns)):
        eye[i, i] = GAIN
    return numpy_helper.from_array(eye, "weights")


def mean(source, target, axes):
    return helper.make_node("ReduceMean", [source], [target], axes=axes, keepdims=0)


def nchw(name, batch="batch", columns=3, extra_nodes=(), outputs=None, more=(), **kwargs):
    nodes = [
        mean("image", "means", [2, 3]),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
        *extra_nodes,
    ]
    save(
        name,
        nodes,
        [info("image", [batch, 3, SIDE, SIDE])],
        outputs or [info("logits", [batch, columns])],
        [weights(columns), *more],
        **kwargs,
    )


nchw("colour_nchw")
nchw("colour_fixed_batch", batch=1)
nchw("colour_fixed_batch_4", batch=4)
nchw("two_columns", columns=2)
nchw(
    "colour_softmax",
    extra_nodes=[helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)],
    outputs=[info("probabilities", ["batch", 3])],
)
# Features first and labels second, as models with an embedding have it.
nchw(
    "several_outputs",
    extra_nodes=[helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0)],
    outputs=[info("label", ["batch"], TensorProto.INT64), info("logits", ["batch", 3])],
)
nchw(
    "output_image",
    extra_nodes=[helper.make_node("Identity", ["image"], ["same"])],
    outputs=[info("same", ["batch", 3, SIDE, SIDE])],
)
nchw(
    "unsupported_operator",
    extra_nodes=[helper.make_node("Sharpen", ["logits"], ["sharp"], domain="com.example")],
    outputs=[info("sharp", ["batch", 3])],
    opsets=(("", 17), ("com.example", 1)),
)
# 0 / 0 for an image whose three means are alike, as those of plain grey are.
nchw(
    "not_finite",
    extra_nodes=[
        helper.make_node("Sub", ["logits", "logits"], ["zero"]),
        helper.make_node("Div", ["zero", "zero"], ["nan"]),
    ],
    outputs=[info("nan", ["batch", 3])],
)

save(
    "colour_nhwc",
    [
        mean("image", "means", [1, 2]),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ],
    [info("image", ["batch", SIDE, SIDE, 3])],
    [info("logits", ["batch", 3])],
    [weights()],
)

# Every axis dynamic: only running it shows what it takes.
save(
    "all_dynamic",
    [
        mean("image", "means", [2, 3]),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ],
    [info("image", ["n", "c", "h", "w"])],
    [info("logits", ["n", "k"])],
    [weights()],
)

# Declares a dynamic batch, but subtracts the mean over the whole batch: wrong unless run one by one.
save(
    "mixes_batch",
    [
        mean("image", "means", [2, 3]),
        helper.make_node("ReduceMean", ["means"], ["centre"], axes=[0], keepdims=1),
        helper.make_node("Mul", ["centre", "half"], ["half_centre"]),
        helper.make_node("Sub", ["means", "half_centre"], ["centred"]),
        helper.make_node("MatMul", ["centred", "weights"], ["logits"]),
    ],
    [info("image", ["batch", 3, SIDE, SIDE])],
    [info("logits", ["batch", 3])],
    [weights(), numpy_helper.from_array(np.array([0.5], np.float32), "half")],
)

# Declares a dynamic batch, but reshapes to one image: fails unless run one by one.
save(
    "reshapes_batch",
    [
        helper.make_node("Reshape", ["image", "shape"], ["planes"]),
        mean("planes", "means", [2]),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ],
    [info("image", ["batch", 3, SIDE, SIDE])],
    [info("logits", ["batch", 3])],
    [weights(), numpy_helper.from_array(np.array([1, 3, SIDE * SIDE], np.int64), "shape")],
)

save(
    "two_inputs",
    [
        helper.make_node("Add", ["image", "other"], ["sum"]),
        mean("sum", "logits", [2, 3]),
    ],
    [info("image", ["batch", 3, SIDE, SIDE]), info("other", ["batch", 3, SIDE, SIDE])],
    [info("logits", ["batch", 3])],
)

save(
    "bytes_input",
    [
        helper.make_node("Cast", ["image"], ["floats"], to=FLOAT),
        mean("floats", "logits", [2, 3]),
    ],
    [info("image", ["batch", 3, SIDE, SIDE], TensorProto.UINT8)],
    [info("logits", ["batch", 3])],
)

# Loops of matrix products, which keep a thread busy for as long as wanted.
body = helper.make_graph(
    [
        helper.make_node("MatMul", ["state", "turn"], ["product"]),
        helper.make_node("Identity", ["more"], ["more_out"]),
        helper.make_node("Identity", ["product"], ["state_out"]),
    ],
    "body",
    [
        info("step", [], TensorProto.INT64),
        info("more", [], TensorProto.BOOL),
        info("state", [64, 64]),
    ],
    [info("more_out", [], TensorProto.BOOL), info("state_out", [64, 64])],
    [numpy_helper.from_array(np.eye(64, dtype=np.float32), "turn")],
)


def busy(name, turns, nodes=()):
    save(
        name,
        [
            *nodes,
            helper.make_node("Constant", [], ["start"], value_float=0.0),
            helper.make_node("Expand", ["start", "square"], ["state"]),
            helper.make_node("Loop", ["turns", "go", "state"], ["final"], body=body),
            helper.make_node("ReduceMean", ["final"], ["nothing"], keepdims=0),
            mean("image", "means", [2, 3]),
            helper.make_node("MatMul", ["means", "weights"], ["scores"]),
            helper.make_node("Add", ["scores", "nothing"], ["logits"]),
        ],
        [info("image", [1, 3, SIDE, SIDE])],
        [info("logits", [1, 3])],
        [
            weights(),
            numpy_helper.from_array(np.array([64, 64], np.int64), "square"),
            *turns,
            numpy_helper.from_array(np.array(True), "go"),
        ],
    )


busy("slow", [numpy_helper.from_array(np.array(3000, np.int64), "turns")])
# Hours, so that its first run does not end.
busy("endless", [numpy_helper.from_array(np.array(10**9, np.int64), "turns")])
# Hours for a white image only.
busy(
    "endless_for_white",
    [
        numpy_helper.from_array(np.array(0.99, np.float32), "nearly_white"),
        numpy_helper.from_array(np.array(1e11, np.float32), "many"),
        numpy_helper.from_array(np.array(0.0, np.float32), "none"),
    ],
    [
        helper.make_node("ReduceMean", ["image"], ["brightness"], keepdims=0),
        helper.make_node("Sub", ["brightness", "nearly_white"], ["above"]),
        helper.make_node("Mul", ["above", "many"], ["product_of_above"]),
        helper.make_node("Max", ["product_of_above", "none"], ["positive"]),
        helper.make_node("Cast", ["positive"], ["turns"], to=TensorProto.INT64),
    ],
)


def grows(name, last, outputs):
    """For a white image it makes a tensor of 40,000,000 numbers, 160 MB; for others none."""
    save(
        name,
        [
            helper.make_node("ReduceMean", ["image"], ["brightness"], keepdims=0),
            helper.make_node("Sub", ["brightness", "nearly_white"], ["above"]),
            helper.make_node("Mul", ["above", "many"], ["product_of_above"]),
            helper.make_node("Max", ["product_of_above", "one"], ["positive"]),
            helper.make_node("Cast", ["positive"], ["count"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["count", "vector"], ["shape"]),
            helper.make_node("Expand", ["one", "shape"], ["grown"]),
            mean("image", "means", [2, 3]),
            *last,
        ],
        [info("image", [1, 3, SIDE, SIDE])],
        outputs,
        [
            weights(),
            numpy_helper.from_array(np.array(0.99, np.float32), "nearly_white"),
            numpy_helper.from_array(np.array(4e9, np.float32), "many"),
            numpy_helper.from_array(np.array(1.0, np.float32), "one"),
            numpy_helper.from_array(np.array([1], np.int64), "vector"),
        ],
    )


# What grows is an output that nobody asks for, or something that is needed on the way.
grows(
    "grows_output",
    [helper.make_node("MatMul", ["means", "weights"], ["logits"])],
    [info("logits", [1, 3]), info("grown", ["n"])],
)
grows(
    "grows_inside",
    [
        helper.make_node("ReduceMean", ["grown"], ["mean_of_grown"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["scores"]),
        helper.make_node("Mul", ["scores", "mean_of_grown"], ["logits"]),
    ],
    [info("logits", [1, 3])],
)

# Functions that call each other twice, thirty deep: 2^30 calls, which are expanded before the first run, and nothing
# ends that.
DOMAIN = "predictsql.tests"
OPSETS = (("", 17), (DOMAIN, 1))


def doubling(level):
    inner = ("Identity", "") if level == 0 else (f"double_{level - 1}", DOMAIN)
    nodes = [
        helper.make_node(inner[0], [source], [target], domain=inner[1])
        for source, target in (("in", "half"), ("half", "out"))
    ]
    imports = [helper.make_opsetid(*opset) for opset in OPSETS]
    return helper.make_function(DOMAIN, f"double_{level}", ["in"], ["out"], nodes, imports)


nchw(
    "nested_functions",
    extra_nodes=[helper.make_node("double_29", ["logits"], ["same"], domain=DOMAIN)],
    outputs=[info("same", ["batch", 3])],
    opsets=OPSETS,
    functions=[doubling(level) for level in range(30)],
)

# A constant of 3 GiB, which the file only says the size of.
nchw(
    "large_constant",
    extra_nodes=[
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Add", ["logits", "zero"], ["same"]),
    ],
    outputs=[info("same", ["batch", 3])],
    more=[numpy_helper.from_array(np.array([3 << 28], np.int64), "size")],
)

# Weights that are said to be in another file, one that is there when the tests run in `executor/`.
external = helper.make_tensor("weights", FLOAT, [3, 3], np.zeros(9, np.float32).tobytes(), raw=True)
external.ClearField("raw_data")
external.data_location = TensorProto.EXTERNAL
entry = external.external_data.add()
entry.key, entry.value = "location", "Cargo.toml"
entry = external.external_data.add()
entry.key, entry.value = "length", "36"
save(
    "external_weights",
    [
        mean("image", "means", [2, 3]),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ],
    [info("image", ["batch", 3, SIDE, SIDE])],
    [info("logits", ["batch", 3])],
    [external],
    check=False,
)

whole = (HERE / "colour_nchw.onnx").read_bytes()
(HERE / "cut_in_half.onnx").write_bytes(whole[: len(whole) // 2])
(HERE / "text.onnx").write_text("This is not a model.\n")


def pixel(name, start, end):
    """A regression whose answer is one pixel of an image of any size: its three numbers, which are
    of 0 to 255 with scale = 1, as one of 24 bits."""
    constants = {
        "start": np.array([start, start], np.int64),
        "end": np.array([end, end], np.int64),
        "axes": np.array([2, 3], np.int64),
        "flat": np.array([-1, 3], np.int64),
        "places": np.array([[65536.0], [256.0], [1.0]], np.float32),
    }
    nodes = [
        helper.make_node("Slice", ["image", "start", "end", "axes"], ["cut"]),
        helper.make_node("Reshape", ["cut", "flat"], ["channels"]),
        helper.make_node("MatMul", ["channels", "places"], ["value"]),
    ]
    save(
        name,
        nodes,
        [info("image", ["batch", 3, "height", "width"])],
        [info("value", ["batch", 1])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )


pixel("first_pixel", 0, 1)
pixel("last_pixel", -1, np.iinfo(np.int64).max)
