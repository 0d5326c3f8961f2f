"""Makes the models over columns of the executor's tests, as the usual tools export them.

    pip install scikit-learn==1.9.1 skl2onnx==1.20.0 xgboost-cpu==3.2.0 onnxmltools==1.16.0 pandas==3.0.0
    python3 executor/tests/columns/make.py

`expected.json` holds, for each model, rows and what the library itself answers to them.
"""

import json
import pathlib

import numpy as np
import pandas as pd
from onnx import TensorProto, helper
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as XgbFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

HERE = pathlib.Path(__file__).parent
OPSETS = {"": 17, "ai.onnx.ml": 3}
expected = {}


def save(name, model, rows, answers):
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    expected[name] = {
        "rows": rows,
        "answers": np.asarray(answers, dtype=float).round(5).tolist(),
    }


iris = load_iris()
X, y = iris.data.astype(np.float32), iris.target
# Not in alphabetical order, so that who takes the classes in the task's order is wrong.
CLASSES = ["virginica", "setosa", "versicolor"]
names = np.array(iris.target_names)[y]
shown = X[::15]
rows = [[float(str(v)) for v in row] for row in shown]


def features(columns=4, kind=FloatTensorType):
    return [("features", kind([None, columns]))]


def sklearn(model, types, **options):
    if options:
        options = {"options": {id(model): options}}
    return to_onnx(model, initial_types=types, target_opset=OPSETS, **options)


# Numbers as classes: without ZipMap a tensor, with it a map from number to probability for each row.
numbered = LogisticRegression(max_iter=500).fit(X, y)
answers = numbered.predict_proba(shown)
save("iris_tensor", sklearn(numbered, features(), zipmap=False), rows, answers)
save("iris_maps", sklearn(numbered, features()), rows, answers)

# Names as classes; the columns of the answers are in alphabetical order.
named = LogisticRegression(max_iter=500).fit(X, names)
assert list(named.classes_) == sorted(CLASSES)
answers = named.predict_proba(shown)
save("iris_named_tensor", sklearn(named, features(), zipmap=False), rows, answers)
save("iris_named_maps", sklearn(named, features()), rows, answers)

# In double precision, and with one input a column, in an order of its own.
save(
    "iris_double",
    sklearn(numbered, features(kind=DoubleTensorType), zipmap=False),
    rows,
    numbered.predict_proba(shown.astype(float)),
)
frame = pd.DataFrame(X, columns=["sepal_length", "sepal_width", "petal_length", "petal_width"])
turned = frame[["petal_width", "petal_length", "sepal_width", "sepal_length"]]
apart = make_pipeline(
    ColumnTransformer([("all", "passthrough", list(turned.columns))]),
    LogisticRegression(max_iter=500),
).fit(turned, y)
save(
    "iris_apart",
    to_onnx(
        apart,
        initial_types=[(name, FloatTensorType([None, 1])) for name in turned.columns],
        target_opset=OPSETS,
        options={id(apart): {"zipmap": False}},
    ),
    rows,
    apart.predict_proba(turned.iloc[::15]),
)

boosted = XGBClassifier(n_estimators=3, max_depth=2).fit(X, y)
save(
    "iris_xgboost",
    convert_xgboost(boosted, initial_types=[("features", XgbFloat([None, 4]))], target_opset=15),
    rows,
    boosted.predict_proba(shown),
)

# Two classes.
binary = XGBClassifier(n_estimators=3, max_depth=2).fit(X, (y == 2).astype(int))
save(
    "virginica_xgboost",
    convert_xgboost(binary, initial_types=[("features", XgbFloat([None, 4]))], target_opset=15),
    rows,
    binary.predict_proba(shown),
)

# Text and numbers, one input a column.
goods = pd.DataFrame(
    {
        "colour": ["red", "green", "blue", "red", "blue", "green"] * 4,
        "weight": np.arange(24) / 4.0,
        "price": np.arange(24)[::-1] / 8.0,
        "pieces": np.arange(24) % 5,
    }
)
goods[["weight", "price"]] = goods[["weight", "price"]].astype(np.float32)
cheap = np.where((goods["colour"] == "red") | (goods["pieces"] > 2), "yes", "no")
mixed_types = [
    ("colour", StringTensorType([None, 1])),
    ("weight", FloatTensorType([None, 1])),
    ("price", FloatTensorType([None, 1])),
    ("pieces", Int64TensorType([None, 1])),
]


def shop(handle_unknown):
    encode = OneHotEncoder(handle_unknown=handle_unknown)
    model = make_pipeline(
        ColumnTransformer([("colour", encode, ["colour"])], remainder="passthrough"),
        LogisticRegression(max_iter=500),
    ).fit(goods, cheap)
    exported = to_onnx(
        model, initial_types=mixed_types, target_opset=OPSETS, options={id(model): {"zipmap": True}}
    )
    return model, exported


lenient, exported = shop("ignore")
some = goods.iloc[:8].copy()
some.loc[some.index[-1], "colour"] = "striped"
save("goods_maps", exported, some.astype(object).values.tolist(), lenient.predict_proba(some))
_, exported = shop("error")
save("goods_strict", exported, goods.iloc[:2].astype(object).values.tolist(), lenient.predict_proba(goods.iloc[:2]))

# Regressions: petal width from the other three.
inputs, width = X[:, :3], X[:, 3]
three = [row[:3] for row in rows]
line = LinearRegression().fit(inputs, width)
save("width_linear", sklearn(line, features(3)), three, line.predict(shown[:, :3]))
save(
    "width_double",
    sklearn(line, features(3, DoubleTensorType)),
    three,
    line.predict(shown[:, :3].astype(float)),
)
tree = DecisionTreeRegressor(max_depth=3).fit(inputs, width)
save("width_tree", sklearn(tree, features(3)), three, tree.predict(shown[:, :3]))
forest = XGBRegressor(n_estimators=5, max_depth=2).fit(inputs, width)
save(
    "width_xgboost",
    convert_xgboost(forest, initial_types=[("features", XgbFloat([None, 3]))], target_opset=15),
    three,
    forest.predict(shown[:, :3]),
)

# The logarithm of the only column: not finite for 0, NaN below.
graph = helper.make_graph(
    [helper.make_node("Log", ["x"], ["y"])],
    "log",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
)
logarithm = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
save("logarithm", logarithm, [[1.0], [2.0]], np.log([1.0, 2.0]))

# The sum of two columns of other types, with shapes of one axis only.
graph = helper.make_graph(
    [
        helper.make_node("Cast", ["whole"], ["cast"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["broken", "cast"], ["sum"]),
    ],
    "sum",
    [
        helper.make_tensor_value_info("broken", TensorProto.DOUBLE, [None]),
        helper.make_tensor_value_info("whole", TensorProto.INT64, [None]),
    ],
    [helper.make_tensor_value_info("sum", TensorProto.DOUBLE, [None])],
)
total = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
save("sum", total, [[0.1, 3], [1e300, -7]], [3.1, 1e300])

text = json.dumps(expected, indent=None, separators=(",", ":"))
(HERE / "expected.json").write_text(text.replace('"},', '"},\n').replace("},", "},\n") + "\n")
