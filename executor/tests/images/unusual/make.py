"""Makes images as people have them, and what Pillow makes of them: turned, transparent, damaged.

    pip install Pillow==13.0.0 && python3 executor/tests/images/unusual/make.py     (needs cjpeg)

`expected/NAME` holds width and height, 16 bits each, and the raw bytes of RGB of
exif_transpose(Image.open(f)), laid over white. Files without one are refused.
"""

import io
import math
import pathlib
import struct
import subprocess
import zlib

from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
EXPECTED = HERE / "expected"
WIDTH, HEIGHT = 21, 14
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(width=WIDTH, height=HEIGHT):
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            wave = 0.5 + 0.5 * math.sin(x / 6.0) * math.cos(y / 5.0)
            image.putpixel((x, y), (int(255 * wave), 240 * x // width, 40 + 200 * y // height))
    return image


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def put(name, data):
    (HERE / name).write_bytes(data)


def exif(tag, order="<", kind=3, offset=8, prefix=b"Exif\0\0"):
    value = struct.pack(order + ("H" if kind == 3 else "I"), tag).ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", offset)
    return prefix + head + struct.pack(order + "HHHI", 1, 0x0112, kind, 1) + value + struct.pack(order + "I", 0)


def segment(marker, data):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth, colour, rows, extra=b""):
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return SIGNATURE + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bmp(depth, data, masks=b""):
    header = struct.pack("<IiiHHIIiiII", 124 if masks else 40, WIDTH, HEIGHT, 1, depth, 3 if masks else 0, len(data), 0, 0, 0, 0)
    header += (masks + b"BGRs").ljust(84, b"\0") if masks else b""
    return struct.pack("<2sIHHI", b"BM", 14 + len(header) + len(data), 0, 0, 14 + len(header)) + header + data


for old in [*HERE.glob("*.*"), *EXPECTED.iterdir()]:
    if old.suffix != ".py":
        old.unlink()
rgb = picture()
grey = rgb.convert("L")
alpha = Image.new("L", rgb.size)
alpha.putdata([x * 12 for _ in range(HEIGHT) for x in range(WIDTH)])
rgba, grey_alpha = rgb.copy(), grey.copy()
rgba.putalpha(alpha)
grey_alpha.putalpha(alpha)

# Orientation: in all formats that have it, in places and forms in which programs write it.
jpeg = encoded(rgb, "JPEG", quality=95, subsampling="4:4:4")
scan = jpeg.index(b"\xff\xda")
xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
for tag in range(10):
    put(f"orientation_{tag}.jpg", jpeg[:2] + segment(0xE1, exif(tag, "<>"[tag % 2])) + jpeg[2:])
put("orientation_of_32_bits.jpg", jpeg[:2] + segment(0xE1, exif(6, kind=4)) + jpeg[2:])
put("orientation_beyond_the_file.jpg", jpeg[:2] + segment(0xE1, exif(6, offset=99999)) + jpeg[2:])
put("orientation_behind_xmp.jpg", jpeg[:2] + xmp + segment(0xE1, exif(8)) + jpeg[2:])
put("orientation_twice.jpg", jpeg[:2] + segment(0xE1, exif(6)) + segment(0xE1, exif(3)) + jpeg[2:])
put("orientation_before_the_scan.jpg", jpeg[:scan] + segment(0xE1, exif(5)) + jpeg[scan:])
put("orientation_behind_the_end.jpg", jpeg + segment(0xE1, exif(6)))
put("orientation_without_prefix.jpg", jpeg[:2] + segment(0xE1, exif(6, prefix=b"")) + jpeg[2:])
whole = encoded(rgb, "PNG")
for tag in (2, 6, 7):
    put(f"orientation_{tag}.png", whole[:33] + chunk(b"eXIf", exif(tag, prefix=b"")) + whole[33:])
    put(f"orientation_{tag}.webp", encoded(rgb, "WEBP", lossless=True, exif=exif(tag, ">", prefix=b"")))
put("orientation_behind_the_data.png", whole[:-12] + chunk(b"eXIf", exif(6)) + whole[-12:])
put("orientation_prefixed.webp", encoded(rgba, "WEBP", lossless=True, exact=True, exif=exif(8)))

# Inks.
cmyk = Image.merge("CMYK", [rgb.getchannel(c).point(lambda v: 255 - v) for c in "RGB"] + [alpha.point(lambda v: v // 3)])
inks = encoded(cmyk, "JPEG", quality=95)
put("inks.jpg", inks)
put("inks_progressive.jpg", encoded(cmyk, "JPEG", quality=95, progressive=True))
adobe = inks.index(b"\xff\xee")
put("inks_without_marker.jpg", inks[:adobe] + inks[adobe + 16 :])
put("inks_as_ycck.jpg", inks[: adobe + 15] + b"\2" + inks[adobe + 16 :])
put("inks_turned.jpg", inks[:2] + segment(0xE1, exif(6)) + inks[2:])

# Transparency.
put("transparent.png", encoded(rgba, "PNG"))
put("transparent_grey.png", encoded(grey_alpha, "PNG"))
put("transparent_palette.png", encoded(rgb.quantize(16), "PNG", transparency=bytes(range(0, 256, 16))))
put("transparent_colour.png", encoded(rgb.quantize(4).convert("RGB"), "PNG", transparency=rgb.quantize(4).convert("RGB").getpixel((3, 3))))
put("transparent_one_bit.png", encoded(grey.convert("1"), "PNG", transparency=0))
put("transparent.gif", encoded(rgb.quantize(16), "GIF", transparency=3))
put("transparent.webp", encoded(rgba, "WEBP", lossless=True, exact=True))
put("transparent_lossy.webp", encoded(rgba, "WEBP", quality=98))
below = b"".join(bytes([*rgb.getpixel((x, y))[::-1], x * 12]) for y in reversed(range(HEIGHT)) for x in range(WIDTH))
put("transparent.bmp", bmp(32, below, struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
put("transparency_unsaid.bmp", bmp(32, below))

# 16 bits: the upper eight are those of the picture, and the lower ones the same.
pixels = [[rgba.getpixel((x, y)) for x in range(WIDTH)] for y in range(HEIGHT)]
put("sixteen_bits.png", png(16, 2, [b"".join(bytes([v, v]) for p in row for v in p[:3]) for row in pixels]))
put("sixteen_bits_alpha.png", png(16, 6, [b"".join(bytes([v, v]) for p in row for v in p) for row in pixels]))

# Whole but for formalities.
data = whole.index(b"IDAT")
end = data + 4 + struct.unpack(">I", whole[data - 4 : data])[0]
put("without_end.png", whole[:-12])
put("without_checksum.png", whole[:end])
put("without_checksum_of_data.png", whole[: end - 4])
put("wrong_checksum_of_chunk.png", whole[:end] + b"\0\0\0\0" + whole[end + 4 :])
put("bytes_behind.png", whole + b"bytes")
put("without_trailer.gif", encoded(rgb.quantize(16), "GIF")[:-1])
windows = encoded(rgb, "BMP")
put("reserved_bytes.bmp", windows[:6] + b"\1\2\3\4" + windows[10:])
put("no_planes.bmp", windows[:26] + b"\0\0" + windows[28:])
put("without_padding.bmp", windows[:-1])
put("bytes_behind.webp", encoded(rgb, "WEBP", lossless=True) + b"bytes")

# Samplings of JPEG.
picture(37, 29).save("/tmp/predictsql-unusual.ppm")
for name, sampling, *options in (
    ("chroma_finer", "1x1,2x2,2x2"),
    ("chroma_finer_progressive", "1x1,2x2,2x2", "-progressive", "-restart", "2B"),
    ("chroma_finer_down", "2x1,1x2,1x2"),
    ("chroma_unlike", "1x2,2x1,1x1"),
    ("thirds", "3x2,1x1,1x1"),
    ("thirds_progressive", "3x1,1x1,3x1", "-progressive"),
    ("four_rows", "1x4,1x2,1x2"),
    ("quarters", "4x2,1x1,1x1"),
):
    command = ["cjpeg", "-quality", "95", "-sample", sampling, *options, "/tmp/predictsql-unusual.ppm"]
    put(f"sampled_{name}.jpg", subprocess.run(command, capture_output=True, check=True).stdout)
finer = (HERE / "sampled_chroma_finer.jpg").read_bytes()
jfif = 4 + struct.unpack(">H", finer[4:6])[0]
put("sampled_as_rgb.jpg", finer[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + finer[jfif:])

# Cut off or wrong: refused.
put("cut.png", whole[: len(whole) // 2])
put("wrong_data.png", whole[: end - 1] + bytes([whole[end - 1] ^ 1]) + b"\0\0\0\0" + whole[end + 4 :])
put("wrong_header.png", whole[:29] + b"\0\0\0\0" + whole[33:])
put("cut.jpg", jpeg[: len(jpeg) * 2 // 3])
put("cut.gif", encoded(rgb.quantize(16), "GIF")[:-20])
put("cut.bmp", windows[:-3])
put("cut.webp", encoded(rgb, "WEBP", lossless=True)[:-2])
put("cut_chroma_finer.jpg", finer[: len(finer) * 2 // 3] + b"\xff\xd9")
put("named.tif", encoded(rgb, "TIFF"))
put("named.avif", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + b"\0" * 40)

REFUSED = ("cut", "wrong_data", "wrong_header", "named")
for path in sorted(HERE.glob("*.*")):
    if path.suffix == ".py" or path.name.startswith(REFUSED):
        continue
    image = ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    (EXPECTED / path.name).write_bytes(struct.pack("<HH", *image.size) + image.tobytes())
