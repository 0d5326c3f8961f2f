"""Makes the corpus of the executor's fuzz targets: small images of every format and kind.

    pip install Pillow==13.0.0 && python3 executor/fuzz/make.py     (needs cjpeg)

Inputs that found faults, which have other names, are left alone.
"""

import math
import pathlib
import struct
import subprocess
import zlib

from PIL import Image

HERE = pathlib.Path(__file__).parent / "corpus/images"
WIDTH, HEIGHT = 19, 17


def picture(width=WIDTH, height=HEIGHT):
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            wave = 0.5 + 0.5 * math.sin(x / 2.0) * math.cos(y / 3.0)
            image.putpixel((x, y), (int(255 * wave), int(255 * x / width), int(255 * y / height)))
    return image


def save(name, image, **options):
    image.save(HERE / name, **options)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(name, depth, colour, interlaced, samples, extra=b""):
    """A PNG of noise-free rows; `samples` a pixel."""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, interlaced)
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for left, top, across, down in passes:
        for y in range(top, HEIGHT, down):
            width = len(range(left, WIDTH, across))
            if width:
                rows += bytes([y % 5]) + bytes(y * 7 % 256 for _ in range((width * samples * depth + 7) // 8))
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    (HERE / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def bmp(name, depth, compression, data, palette=b"", masks=b"", height=HEIGHT):
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, depth, compression, len(data), 0, 0, len(palette) // 4, 0)
    offset = 14 + len(header) + len(masks) + len(palette)
    file = struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset)
    (HERE / name).write_bytes(file + header + masks + palette + data)


HERE.mkdir(parents=True, exist_ok=True)
rgb = picture()
grey = rgb.convert("L")
rgba = rgb.copy()
rgba.putalpha(grey)

for sampling in ("4:4:4", "4:2:2", "4:2:0"):
    save(f"{sampling.replace(':', '')}.jpg", rgb, quality=60, subsampling=sampling)
    save(f"progressive{sampling.replace(':', '')}.jpg", rgb, quality=60, subsampling=sampling, progressive=True)
save("grey.jpg", grey, quality=60)
save("progressive_grey.jpg", grey, quality=60, progressive=True)
save("cmyk.jpg", rgb.convert("CMYK"), quality=60)
save("restarts.jpg", rgb, quality=60, restart_marker_blocks=1)
save("progressive_restarts.jpg", rgb, quality=60, progressive=True, restart_marker_blocks=1)
save("optimised.jpg", rgb, quality=60, optimize=True)
save("profile.jpg", rgb, quality=60, icc_profile=b"profile" * 9, exif=b"Exif\0\0II*\0" + b"\0" * 20, comment=b"text")

turned = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0%c\0\0\0\0\0\0"
save("turned.jpg", rgb, quality=60, exif=b"Exif\0\0" + turned % 6)
save("turned.png", grey, exif=turned % 5)
save("turned.webp", rgba, lossless=True, exif=turned % 8)
rgb.resize((37, 29)).save("/tmp/predictsql-fuzz.ppm")
for name, *options in (
    ("chroma_finer", "1x1,2x2,2x2"),
    ("chroma_finer_progressive", "1x1,2x2,2x2", "-progressive", "-restart", "2B"),
    ("thirds", "3x2,1x1,1x1"),
):
    command = ["cjpeg", "-quality", "60", "-sample", *options, "/tmp/predictsql-fuzz.ppm"]
    (HERE / f"{name}.jpg").write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)

save("rgb.png", rgb)
save("rgba.png", rgba)
save("grey.png", grey)
save("grey_alpha.png", rgba.convert("LA"))
save("palette.png", rgb.quantize(16))
save("one_bit.png", grey.convert("1"))
save("transparent.png", rgb.quantize(8), transparency=1)
save("animated.png", rgb, save_all=True, append_images=[rgb.rotate(180)])
save("profile.png", rgb, icc_profile=b"profile" * 9)
for depth, colour, samples in ((16, 2, 3), (16, 6, 4), (16, 0, 1), (8, 2, 3), (2, 0, 1), (8, 4, 2)):
    for interlaced in (0, 1):
        png(f"depth{depth}_colour{colour}_interlaced{interlaced}.png", depth, colour, interlaced, samples)
bomb = chunk(b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 200000, 9)) + chunk(b"zTXt", b"t\0\0" + zlib.compress(b"\0" * 200000, 9))
png("inflated_profile.png", 8, 0, 0, 1, bomb)

save("rgb.gif", rgb.quantize(16))
save("grey.gif", grey)
save("interlaced.gif", rgb.quantize(8), interlace=1)
save("animated.gif", rgb.quantize(16), save_all=True, append_images=[Image.new("RGB", rgb.size, "red").quantize(4)])
save("transparent.gif", rgb.quantize(8), transparency=2, comment=b"a comment")

save("lossless.webp", rgb, lossless=True)
save("lossless_alpha.webp", rgba, lossless=True, exact=True)
save("lossless_palette.webp", rgb.quantize(4).convert("RGB"), lossless=True)
save("lossy.webp", rgb, quality=50)
save("lossy_alpha.webp", rgba, quality=50)
save("animated.webp", rgb, save_all=True, append_images=[rgb.rotate(180)], lossless=True)
save("animated_lossy.webp", rgb, save_all=True, append_images=[rgb.rotate(180)], quality=50)
save("profile.webp", rgb, quality=50, icc_profile=b"profile" * 9)
save("meta.webp", Image.effect_mandelbrot((96, 64), (-3, -2.5, 2, 2.5), 60).convert("RGB"), lossless=True, method=6)

save("rgb.bmp", rgb)
save("palette.bmp", rgb.quantize(16))
save("one_bit.bmp", grey.convert("1"))
save("rgba.bmp", rgba)
palette = b"".join(bytes([i, 255 - i, i // 2, 0]) for i in range(0, 256, 16))
run = bytes([WIDTH - 3, 3, 0, 3, 1, 2, 3, 0, 0, 0])
bmp("runs8.bmp", 8, 1, run * HEIGHT + b"\0\1", palette)
bmp("runs4.bmp", 4, 2, (bytes([WIDTH - 4, 0x12, 0, 4, 0x34, 0x56, 0, 0])) * HEIGHT + b"\0\1", palette)
bmp("runs_skipped.bmp", 8, 1, (run + b"\0\2\0\1") * (HEIGHT // 2) + run + b"\0\1", palette)
bmp("rgb16.bmp", 16, 0, bytes(range(40)) * HEIGHT)
bmp("fields16.bmp", 16, 3, bytes(range(40)) * HEIGHT, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
bmp("rows_from_top.bmp", 24, 0, bytes(range(60)) * HEIGHT, height=-HEIGHT)
