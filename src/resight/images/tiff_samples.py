"""Pictures of TIFF files in layouts that Pillow does not read: their samples by tifffile, then to 8 bits."""

from __future__ import annotations

import io
import logging
import math
import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from resight.errors import UnreadableImage
from resight.images.colour import clipped_at_white, high_bits, white_of
from resight.images.tiff import Layout

if TYPE_CHECKING:
    from tifffile import TiffPage

__all__ = ["read_samples"]

# What tifffile decodes without its codecs: none, Deflate by both its numbers, PackBits.
_NONE, _DEFLATE, _PACKBITS = 1, (8, 32946), 32773
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4}


def read_samples(name: str, stream: BinaryIO, layout: Layout) -> Image.Image:
    """Returns the first picture of a TIFF file, grey or RGB with 8 bits a channel, as stored.

    Unsigned integers are shown by their high byte (fewer than 8 bits: their full range), signed ones of 8
    and 16 bits with black at 0 and below, wider integers and floats as `colour.grey_or_rgb` says; alpha is
    laid over white.

    Raises:
        UnreadableImage: Its layout or compression is none that is read, or its pieces do not hold what they
            should.
    """
    colours = _COLOURS.get(layout.photometric, layout.samples + 1)
    # Grey with more than alpha beside it is several channels of something, none of which is the photo.
    several = layout.photometric in (0, 1, 3) and layout.samples > 2
    packed = layout.compression not in (_NONE, *_DEFLATE, _PACKBITS)
    mixed = len(set(layout.bits)) > 1 or len(set(layout.formats)) > 1
    # Samples that begin within a byte need tifffile's codecs, but for single bits.
    unaligned = layout.bits[0] not in (1, 8, 16, 32, 64)
    # 5 and 6: numbers of two parts, of radar and the like.
    no_value = not {1, 2, 3, 4}.issuperset(layout.formats)
    if layout.samples < colours or several or packed or mixed or unaligned or no_value:
        raise UnreadableImage(
            name,
            f"its TIFF layout ({layout.words}) is not read; save it as 8-bit RGB"
            + (", or with Deflate compression" if packed else ""),
        )
    import tifffile

    # Its remarks on odd tags are for those who write TIFF files.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    stream.seek(0)
    # A name of its own, for streams need not have one that is a text.
    with tifffile.TiffFile(stream, name="photo.tif", is_ome=False) as file:
        page = file.pages.first
        _check_pieces(name, stream, page, layout)
        values = page.asarray(maxworkers=1)
        palette = page.colormap
    shape = (layout.samples, layout.height, layout.width)
    if not layout.planar:
        shape = (layout.height, layout.width, layout.samples)
    samples = values.reshape(shape)
    return _picture(np.moveaxis(samples, 0, 2) if layout.planar else samples, palette, layout)


def _check_pieces(name: str, stream: BinaryIO, page: TiffPage, layout: Layout) -> None:
    """Refuses pieces that are missing, cut off or grow beyond their pixels, before memory is taken."""
    offsets, counts = page.dataoffsets, page.databytecounts
    size = stream.seek(0, io.SEEK_END)
    whole = layout.width * layout.height * layout.bits[0] * layout.samples
    if len(offsets) != math.prod(page.chunked):
        raise UnreadableImage(name, "its TIFF data are broken or cut off (pieces are missing)")
    if layout.compression == _NONE and sum(counts) * 8 < whole:
        raise UnreadableImage(name, "its TIFF data are broken or cut off (too few bytes for its pixels)")
    for offset, count in zip(offsets, counts, strict=True):
        if offset <= 0 or count <= 0 or offset + count > size:
            raise UnreadableImage(name, "its TIFF data are broken or cut off (a piece lies outside the file)")
        if layout.compression in _DEFLATE:
            stream.seek(offset)
            # A tile may be larger than the picture it belongs to, by less than itself on both sides.
            most = 4 * (whole // 8) + (1 << 20)
            if len(zlib.decompressobj().decompress(stream.read(count), most)) >= most:
                raise UnreadableImage(name, "its TIFF data unpack to more than its pixels")


def _picture(
    samples: Shaped[np.ndarray, "rows columns samples"],
    palette: UInt8[np.ndarray, "..."] | None,
    layout: Layout,
) -> Image.Image:
    if layout.photometric == 3:
        if palette is None:
            raise ValueError("a palette picture without a palette")
        table = (np.asarray(palette) >> 8).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(table.T[samples[..., 0]]))
    count = _COLOURS[layout.photometric]
    shown = _bytes_of(samples, layout)
    colours = shown[..., :count]
    if layout.photometric == 0:
        colours = 255 - colours
    if layout.photometric == 5:
        rest = 255 - colours.astype(np.uint16)
        colours = ((rest[..., :3] * rest[..., 3:] + 127) // 255).astype(np.uint8)
    if layout.extra[:1] in ((1,), (2,)) and layout.samples > count:
        alpha = shown[..., count : count + 1].astype(np.uint16)
        weight = alpha if layout.extra[0] == 2 else np.uint16(255)
        over = (colours * weight + 127) // 255 + (255 - alpha)
        colours = np.minimum(over, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(colours[..., 0] if colours.shape[2] == 1 else colours))


def _bytes_of(
    samples: Shaped[np.ndarray, "rows columns samples"], layout: Layout
) -> UInt8[np.ndarray, "rows columns samples"]:
    bits, kind = layout.bits[0], samples.dtype.kind
    if kind == "b":
        return samples.astype(np.uint8) * np.uint8(255)
    if kind == "u" and bits <= 8:
        return (samples.astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    if kind == "u" and bits <= 16:
        return high_bits(samples, min(bits, layout.depth))
    if kind == "i" and bits <= 16:
        return clipped_at_white(samples, float((1 << (bits - 1)) - 1))
    every = max(1, samples.size >> 20)
    return clipped_at_white(samples, white_of(samples.ravel()[::every], whole=kind in "iu"))
