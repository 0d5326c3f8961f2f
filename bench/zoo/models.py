"""What is in the zoo, and what was tried for it: shape, covered classes, training recipe.

`tried` marks candidates that are trained and measured like the others but not shipped.
"""
from data import CLASSES

FOOT = ["Sandal", "Sneaker", "Ankle boot"]
TOPS = ["T-shirt/top", "Pullover", "Coat", "Shirt"]

# Recipes. shift: random crop after padding by so many pixels; flip: chance of a mirror image;
# cut: side of the largest erased square.
MLP = dict(optimiser="adamw", lr=3e-3, decay=1e-2, batch=128, epochs=20, shift=1, flip=0.5, cut=0, smooth=0.0)
CHEAP = dict(optimiser="adamw", lr=6e-3, decay=1e-2, batch=128, epochs=24, shift=1, flip=0.5, cut=0, smooth=0.0)
CNN = dict(optimiser="adamw", lr=6e-3, decay=2e-2, batch=128, epochs=24, shift=1, flip=0.5, cut=0, smooth=0.05)
RES = dict(optimiser="sgd", lr=0.2, decay=5e-4, batch=256, epochs=20, shift=2, flip=0.5, cut=8, smooth=0.05)
# Added to a recipe: learn mostly from the softened answers of apparel_large (knowledge distillation).
TAUGHT = dict(taught=0.8, heat=2.0, smooth=0.0)


def model(name, covers, shape, args, recipe, other=False, tried=False, **over):
    return dict(name=name, covers=list(covers), other=other, shape=shape, args=args,
                recipe={**recipe, **over}, tried=tried,
                kind="generalist" if len(covers) == len(CLASSES) else "specialist")


def general(name, shape, args, recipe, tried=False, **over):
    return model(name, CLASSES, shape, args, recipe, tried=tried, **over)


MODELS = [
    # Generalists.
    general("apparel_nano", "mlp", dict(hidden=32, pool=2), MLP, shift=0),
    general("apparel_small", "stride_cnn", dict(a=16, b=32), CHEAP),
    general("apparel_medium", "plain_cnn", dict(a=16, b=32, c=64), CNN),
    general("apparel_large", "resnet", dict(a=32, b=64, c=128), RES),
    # Footwear.
    model("footwear_nano", FOOT, "mlp", dict(hidden=16, pool=2), MLP, shift=0, flip=0),
    model("footwear_small", FOOT, "stride_cnn", dict(a=8, b=16), CHEAP, flip=0),
    model("footwear_other", FOOT, "plain_cnn", dict(a=8, b=16, c=32), CNN, other=True, smooth=0.0, flip=0),
    model("boot_sneaker_nano", ["Sneaker", "Ankle boot"], "mlp", dict(hidden=16, pool=2), MLP, shift=0, flip=0),
    model("sneaker_sandal_other", ["Sandal", "Sneaker"], "stride_cnn", dict(a=8, b=16), CHEAP, other=True, flip=0),
    # Tops: the classes every generalist mixes up.
    model("tops_small", TOPS, "stride_cnn", dict(a=16, b=32), CHEAP, epochs=30, **TAUGHT),
    model("tops_medium", TOPS, "plain_cnn", dict(a=16, b=32, c=64), CNN, epochs=30, **TAUGHT),
    model("upper_other", TOPS + ["Dress"], "plain_cnn", dict(a=16, b=32, c=64), CNN, other=True, epochs=12),
    model("shirt_tshirt_small", ["T-shirt/top", "Shirt"], "stride_cnn", dict(a=16, b=32), CHEAP, epochs=30, **TAUGHT),
    model("pullover_coat_small", ["Pullover", "Coat"], "stride_cnn", dict(a=8, b=16), CHEAP, epochs=30, **TAUGHT),
    model("outerwear_other", ["Pullover", "Coat"], "plain_cnn", dict(a=16, b=32, c=64), CNN, other=True),
    model("long_medium", ["Dress", "Coat", "Shirt"], "plain_cnn", dict(a=16, b=32, c=64), CNN, epochs=30, **TAUGHT),
    # The classes that are easy to tell apart, for next to nothing.
    model("legs_nano", ["Trouser", "Dress"], "mlp", dict(hidden=16, pool=2), MLP, shift=0, flip=0, **TAUGHT),
    model("bag_tiny_other", ["Trouser", "Bag"], "stride_cnn", dict(a=4, b=8), CHEAP, other=True),
    model("distinct_small", ["Trouser", "Sandal", "Bag", "Ankle boot"], "stride_cnn", dict(a=4, b=8), CHEAP, flip=0),
    model("bag_shoe_other", ["Sandal", "Sneaker", "Bag", "Ankle boot"], "depthwise", dict(a=16, b=32, c=64), CNN, other=True,
          smooth=0.0, flip=0),
    # Generalists tried and not shipped.
    general("try_linear", "linear", dict(), MLP, tried=True, shift=0),
    general("try_mlp_128", "mlp", dict(hidden=128, drop=0.2), MLP, tried=True, shift=0),
    general("try_stride_4_8", "stride_cnn", dict(a=4, b=8), CHEAP, tried=True),
    general("try_stride_8_16", "stride_cnn", dict(a=8, b=16), CHEAP, tried=True),
    general("try_plain_8_16_32", "plain_cnn", dict(a=8, b=16, c=32), CNN, tried=True),
]
BY_NAME = {m["name"]: m for m in MODELS}
