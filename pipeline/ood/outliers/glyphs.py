"""Glyphs of characters: strokes of the Hershey vector fonts, and outlines of TrueType fonts.

Numerals of all scripts are left out. Letters and symbols that look like a digit are not: what resembles one when it is
drawn is dropped then, see `pipeline.ood.lookalikes`. The scripts in HELD_OUT are left out, so that rejection can be
measured on them.

Sources: the Hershey fonts (public domain) as packaged by https://pypi.org/project/Hershey-Fonts, and the typefaces
DejaVu and STIX, which come with Matplotlib.
"""

import unicodedata
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from HersheyFonts import HersheyFonts
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.path import Path as Outline

from pipeline.training.strokes import Strokes

PRINTED = ("futural", "rowmant", "timesi", "meteorology", "music", "astrology", "mathlow", "mathupp")
CURSIVE = ("cursive", "scripts", "scriptc")
GOTHIC = ("gothgrt", "gothiceng", "gothicita")
OTHERS = ("greek", "cyrillic", "cyrilc_1", "japanese", "symbolic")
HERSHEY = (*PRINTED, *CURSIVE, *GOTHIC, *OTHERS)
TYPEFACES = (
    "DejaVuSans",
    "DejaVuSerif",
    "DejaVuSans-Oblique",
    "DejaVuSerif-Italic",
    "STIXGeneral",
    "STIXGeneralItalic",
)
HELD_OUT = ("GEORGIAN", "TIFINAGH")  # scripts
# The first word of the names of a script's letters in Unicode.
SCRIPTS = ("LATIN", "MATHEMATICAL", "GREEK", "CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "CANADIAN", "NKO", "OGHAM")
SYMBOLS = "symbols"  # and punctuation
DIGITS = "0123456789"
WITHOUT = "NZCM"  # categories of Unicode: numbers, separators, control characters, marks


@lru_cache(maxsize=len(HERSHEY))
def hershey(font: str) -> list[tuple[str, Strokes]]:
    """Return the glyphs of a Hershey font, each with its key in that font, without digits and those without ink."""
    fonts = HersheyFonts(load_default_font=font)
    found = [
        (key, [np.array(stroke, float) for stroke in glyph.strokes if len(stroke) > 1])
        for key, glyph in fonts.all_glyphs.items()
        if key not in DIGITS
    ]
    return [(key, strokes) for key, strokes in found if strokes]


@lru_cache(maxsize=1)
def typefaces() -> dict[str, list[tuple[str, str]]]:
    """Return, by script, the characters to draw, each as (typeface, character)."""
    found: dict[str, list[tuple[str, str]]] = {script: [] for script in (*SCRIPTS, SYMBOLS)}
    for typeface in TYPEFACES:
        for code in sorted(_font(typeface).get_charmap()):
            character = chr(code)
            script = unicodedata.name(character, "").split(" ")[0]
            category = unicodedata.category(character)[0]
            if script in HELD_OUT or category in WITHOUT:
                continue
            if category != "L":
                script = SYMBOLS
            if script in found:
                found[script].append((typeface, character))
    return found


@lru_cache(maxsize=len(TYPEFACES) + 4)
def _font(typeface: str) -> FT2Font:
    font = FT2Font(Path(matplotlib.get_data_path()) / f"fonts/ttf/{typeface}.ttf")
    font.set_size(64, 72)
    return font


def outline(typeface: str, character: str) -> Strokes:
    """Return the contours of `character`, closed polylines; an empty list for a blank one."""
    font = _font(typeface)
    font.load_char(ord(character), flags=LoadFlags.NO_HINTING)
    points, codes = (np.asarray(part) for part in font.get_path())
    if not len(points):
        return []
    polygons = Outline(points, codes).to_polygons(closed_only=False)
    return [np.asarray(polygon, float) * np.array([1, -1]) for polygon in polygons if np.shape(polygon)[0] > 2]
