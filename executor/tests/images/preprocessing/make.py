"""Makes images and what Pillow makes of them by the recipes of torchvision, timm and ultralytics.

    pip install Pillow==13.0.0 && python3 executor/tests/images/preprocessing/make.py

`cases.json` holds for each case the file, the options, and the samples that are expected, in hex.
"""

import json
import math
import pathlib
import random

from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
}
ORIENTATION = 0x0112


def noise(width, height, seed):
    """Blocks of random colours, black and white among them: filters that overshoot are cut off."""
    rng = random.Random(seed)
    image = Image.new("RGB", (width, height))
    colours = [(0, 0, 0), (255, 255, 255)] + [tuple(rng.randrange(256) for _ in "rgb") for _ in range(30)]
    for y in range(0, height, 2):
        for x in range(0, width, 3):
            image.paste(rng.choice(colours), (x, y, x + 3, y + 2))
    return image


def save(name, image, tag):
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    image.save(HERE / name, exif=exif)


def stretch(image, size, fraction, how):
    scaled = [scaled_side(side, fraction) for side in size]
    return centre(image.resize(scaled, how), size)


def scaled_side(side, fraction):
    """timm: floor(size / crop_pct)."""
    return math.floor(side / fraction + 1e-6)


def centre(image, size):
    """torchvision's CenterCrop."""
    left, top = (int(round((have - want) / 2.0)) for have, want in zip(image.size, size))
    return image.crop((left, top, left + size[0], top + size[1]))


def crop(image, size, fraction, how):
    """torchvision's Resize(int) and CenterCrop, for sides of any ratio."""
    across, down = (scaled_side(side, fraction) for side in size)
    width, height = image.size
    if width * down <= height * across:
        scaled = (across, int(across * height / width))
    else:
        scaled = (int(down * width / height), down)
    return centre(image.resize(scaled, how), size)


def letterbox(image, size, how, colour):
    """ultralytics' LetterBox."""
    width, height = image.size
    ratio = min(size[1] / height, size[0] / width)
    scaled = int(round(width * ratio)), int(round(height * ratio))
    dw, dh = (size[0] - scaled[0]) / 2, (size[1] - scaled[1]) / 2
    out = Image.new(image.mode, size, colour)
    out.paste(image.resize(scaled, how), (int(round(dw - 0.1)), int(round(dh - 0.1))))
    return out


def colour_of(mode, colour):
    return colour if mode == "RGB" else Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0))


def fitted(image, size, options):
    how = FILTERS[options["interpolation"]]
    if options["resize"] == "stretch":
        return stretch(image, size, options["crop_fraction"], how)
    if options["resize"] == "crop":
        return crop(image, size, options["crop_fraction"], how)
    pad = colour_of(image.mode, options["pad"])
    if options["resize"] == "pad":
        return ImageOps.pad(image, size, how, pad)
    return letterbox(image, size, how, pad)


save("upright.png", noise(61, 38, 1), 1)
for tag in (2, 3, 5, 6, 7, 8):
    save(f"turned_{tag}.png", noise(37, 52, tag), tag)
save("small.png", noise(9, 7, 3), 1)
save("wide.png", noise(97, 5, 4), 6)

cases = []
for name in sorted(path.name for path in HERE.glob("*.png")):
    for interpolation in FILTERS:
        for resize, fraction, pad in (
            ("stretch", 1.0, "#000000"),
            ("stretch", 0.8, "#000000"),
            ("crop", 1.0, "#000000"),
            ("crop", 0.875, "#000000"),
            ("pad", 1.0, "#14c828"),
            ("letterbox", 1.0, "#727272"),
        ):
            options = {"resize": resize, "crop_fraction": fraction, "interpolation": interpolation, "pad": pad}
            size = (16, 11) if resize != "crop" else (14, 14)
            for mode in ("RGB", "L") if name == "turned_6.png" else ("RGB",):
                image = ImageOps.exif_transpose(Image.open(HERE / name)).convert(mode)
                expected = fitted(image, size, options).tobytes().hex()
                case = {"file": name, "size": size, "channels": len(mode), "expected": expected}
                cases.append(case | {"preprocessing": options})
lines = ",\n".join(json.dumps(case) for case in cases)
(HERE / "cases.json").write_text(f"[\n{lines}\n]\n")
