"""Makes the images of the executor's tests, and what Pillow makes of them: same bytes every time.

    pip install Pillow==13.0.0 && python3 executor/tests/images/make.py

`expected/NAME.WxH` holds the raw bytes of Pillow's convert("L").resize((W, H), BILINEAR), and
after them those of convert("RGB"), of the image over white.
"""

import io
import math
import pathlib
import struct
import zlib

from PIL import Image

HERE = pathlib.Path(__file__).parent
EXPECTED = HERE / "expected"
WIDTH, HEIGHT = 60, 40


def picture():
    """Smooth gradients and some edges: an image as photos are."""
    image = Image.new("RGB", (WIDTH, HEIGHT))
    for y in range(HEIGHT):
        for x in range(WIDTH):
            wave = 0.5 + 0.5 * math.sin(x / 5.0) * math.cos(y / 7.0)
            box = 60 if 20 <= x < 40 and 10 <= y < 30 else 0
            red, green = int(255 * wave), int(255 * x / WIDTH)
            image.putpixel((x, y), (red, green, min(255, int(180 * y / HEIGHT) + box)))
    return image


def with_alpha(image):
    alpha = Image.new("L", image.size)
    alpha.putdata([(x * 4) % 256 for _ in range(HEIGHT) for x in range(WIDTH)])
    copy = image.copy()
    copy.putalpha(alpha)
    return copy


def save(name, image, **options):
    image.save(HERE / name, **options)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, rows):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


rgb = picture()
grey = rgb.convert("L")

save("rgb.png", rgb)
save("rgba.png", with_alpha(rgb))
save("grey.png", grey)
save("grey_alpha.png", with_alpha(grey))
save("palette.png", rgb.quantize(64))
save("one_bit.png", grey.convert("1"))
save("rgb.bmp", rgb)
save("rgb.gif", rgb.quantize(64))
save("animated.gif", rgb.quantize(64), save_all=True, append_images=[Image.new("RGB", rgb.size, "red").quantize(4)])
save("lossless.webp", rgb, lossless=True)
save("lossy.webp", rgb, quality=90)
save("rgb.jpg", rgb, quality=92)
save("subsampled.jpg", rgb, quality=85, subsampling="4:2:0")
save("progressive.jpg", rgb, quality=92, progressive=True)
save("grey.jpg", grey, quality=92)
save("cmyk.jpg", rgb.convert("CMYK"), quality=95)
save("exact.png", rgb.resize((8, 8)))

# 16 bits a sample, whose upper eight are those of rgb.png and grey.png.
rows = [b"".join(bytes([v, v]) for x in range(WIDTH) for v in rgb.getpixel((x, y))) for y in range(HEIGHT)]
(HERE / "rgb16.png").write_bytes(png(WIDTH, HEIGHT, 16, 2, rows))
rows = [b"".join(bytes([grey.getpixel((x, y))] * 2) for x in range(WIDTH)) for y in range(HEIGHT)]
(HERE / "grey16.png").write_bytes(png(WIDTH, HEIGHT, 16, 0, rows))

# What must be refused.
whole = (HERE / "rgb.jpg").read_bytes()
(HERE / "cut_off.jpg").write_bytes(whole[: len(whole) * 2 // 3])
whole = (HERE / "rgb.png").read_bytes()
(HERE / "cut_off.png").write_bytes(whole[: len(whole) * 2 // 3])
(HERE / "text.png").write_text("This is a text that somebody named like an image.\n")
(HERE / "huge_header.png").write_bytes(png(50_000, 50_000, 8, 2, []))
huge = bytearray((HERE / "rgb.jpg").read_bytes())
frame = huge.index(b"\xff\xc0")
huge[frame + 5 : frame + 9] = struct.pack(">HH", 50_000, 50_000)
(HERE / "huge_header.jpg").write_bytes(huge)
huge = bytearray((HERE / "rgb.gif").read_bytes())
huge[6:10] = struct.pack("<HH", 50_000, 50_000)
(HERE / "huge_header.gif").write_bytes(huge)
huge = bytearray((HERE / "rgb.bmp").read_bytes())
huge[18:26] = struct.pack("<ii", 50_000, 50_000)
(HERE / "huge_header.bmp").write_bytes(huge)
huge = bytearray((HERE / "lossless.webp").read_bytes())
bits = (16383 - 1) | (16383 - 1) << 14
start = huge.index(b"VP8L") + 9
huge[start : start + 4] = struct.pack("<I", bits)
(HERE / "huge_header.webp").write_bytes(huge)

EXPECTED.mkdir(exist_ok=True)
for old in EXPECTED.iterdir():
    old.unlink()
for name in [
    "rgb.png", "rgba.png", "grey.png", "grey_alpha.png", "palette.png", "one_bit.png", "rgb.bmp", "rgb.gif",
    "animated.gif", "lossless.webp", "lossy.webp", "rgb.jpg", "subsampled.jpg", "progressive.jpg", "grey.jpg",
    "cmyk.jpg", "exact.png",
]:
    sizes = [(28, 28), (90, 70)] if name in ("rgb.png", "grey.png") else [(28, 28)]
    for width, height in sizes:
        samples = b""
        for mode in ("L", "RGB"):
            image = Image.open(io.BytesIO((HERE / name).read_bytes()))
            if image.has_transparency_data:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            image = image.convert(mode)
            samples += image.resize((width, height), Image.Resampling.BILINEAR).tobytes()
        (EXPECTED / f"{name}.{width}x{height}").write_bytes(samples)
