# ruff: noqa: RUF001 (characters that look like others are the subject of this module)
"""Glyphs of characters that are not digits: strokes of the Hershey vector fonts, and outlines of TrueType fonts.

What can be read as a digit is left out: numerals of all scripts, and letters and symbols that look like a digit when
they stand alone. The scripts in HELD_OUT are left out too, so that rejection can be measured on them.

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

# What can be read as a digit, by the keys of each Hershey font.
_MARKS = "0123456789!'(),./>[\\]`{|}\x7f"
_LATIN = _MARKS + "BDIOQSZbgiloqsz"
_CURSIVE = _LATIN + "AGJLTYacfjry"
_GOTHIC = _LATIN + "CGJTacdjty"
HERSHEY_LOOKALIKES = {
    "futural": _LATIN + "a",
    **dict.fromkeys(("rowmant", "timesi"), _LATIN),
    **dict.fromkeys(CURSIVE, _CURSIVE),
    **dict.fromkeys(GOTHIC, _GOTHIC),
    "meteorology": _LATIN + "a#<=^~",
    "music": _LATIN + '"#$%-^',
    "astrology": _LATIN + "*+",
    "mathlow": _MARKS + "$?ABDGIJLOQSZmpqrstuz",
    "mathupp": _MARKS + "$?BDIOQSZmpqrstuz",
    "greek": _MARKS + "BFIJOQVZbdfioqsxz",
    "cyrillic": _MARKS + "BCFJOVZ^_abcfijovz~",
    "cyrilc_1": _MARKS + "BCHOUXabchoux",
    "japanese": " !#;<=>?@[\\CHLQRSTYZijklmnpqtuvw\x98\xa9\xac\xb6\xb8\xb9\xba\xbd\xbe\xc2\xc4\xc5\xc6\xc7",
    "symbolic": "\"#$&'()*,-./012456;=7?@BDHIKo\\_qrstvwz{}\x7f",
}
CATEGORIES = ("Lm", "Sk", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf")  # of Unicode: modifiers, dashes, brackets, quotes
BOX_DRAWING = ("\u2500", "\u259f")  # first and last of these characters, many of which are a line
# What can be read as a digit in the typefaces, with or without diacritics.
LOOKALIKES = frozenset(
    "!'(),./:;<>?BDIJOQSZ[\\]`abgijloqsz{|}¡¦§©ª¬®°ºÐØÞßðøþĐđıŁłŒœſƂƃƄƅƆƉƊƍƎƏƐƖƗƚƟƠơƢƣƧƨƩƱƵƷƸ"
    "ƹƺƻƼƽƾƿǀǁǂǃǝǮȜȝȢȣȥȷȾɀɁɂɃɉɊɋɏɐɑɒɔɕɘəɚɛɜɝɞɟɠɡɣɤɥɨɩɪɫɬɭɮɳɵɷɹɺɻʂʃʅʆʇʐʑʒʓʔʕʖʘʙʚʞʟʠʡʢʣʪͲͳͻͼͽΒΖ"
    "ΘΙΟΦβδζθιξορςσφϐϑϕϘϙϚϛϞϟϠϡϨϩϬϭϱϴϵϹϼϽϾϿЅІЇЈБВЗОФЧЪЬЭабвезофчъьэѕіїјѢѣѮѯѲѳѺѻѼѾѿҀҁҍҔҕҘҙҨҩүұ"
    "ҶҷҸҹӀӁӋӌӏӘәӠӡӨөӬӭӺԀԁԂԃԄԅԆԇԌԎԏԐԑԒԚԛԳԵԶԷԸԻԼԾԿՁՄՅՇՈՉՋՏՑՒՓՕ՞գդեզէըթիլծկհձղմյնշոչջտցւփքօֆ׀בגד"
    "הוזטיךכלםמןסעףפצרת،ءأابةثدذرزطظعغفقكلمنهوىي٫کگںڽھۀہۃۄۅۆۇۈۉۊۋۍېۑےۓەߊߋߏߔߕߖߗߛߜߝߞߡߢߣߤߥ߸ᐅᐏᐟᐠᐤ"
    "ᐧᐪᑁᑃᑊᑫᑯᑲᑳᑴᑵᑾᑿᒀᒁᒃᒅᒈᒉᒋᒐᒒᒓᒝᒟᒡᒣᒧᒬᒭᓓᓗᓜᓝᓨᓪᔆᔐᔑᔕᔙᕆᕇᕊᕍᕒᕞᕟᕣᕴᖊᖋᖌᖣᖯᗞᗡᙆᙯᴃᴅᴆᴈᴉᴏᴐᴑᴓᴕᴝᴟᴢᴣᴤᵷᵹᵼᶅẞ†•⁄⁊₰ℓ℘℥℧"
    "ℴ⅂⅋↶↷↺↻∁∂∅∆∕∖∘∙∝∣∤∥∫∮∯∱∲∳∶⊖⊘⊙⊚⊢⊣⊥⋅⌀⌍⌓⌕⌝⌠⌡⌬⌽⍉⍜⍳⎔⎛⎜⎝⎞⎟⎠⎫⎬⎭⎮⏐⏣⏨◊○◌◎●◐◑◒◓◔◕◖◗◜◝◞◟◦◯◴◵◶◷☇☈☡♃♄"
    "♭♮❘❙❚❛❜⟂⟘⟲⟳⤴⤵⤸⤹⥀⥁⦁⦢⦰⦿⧂⧃⧧⬠⬡⬢⬣⬤⭓⭔ⱡⱬⱭⱮⱰⱷⱿ⸣⸰ꙄꙅꙆꙇꙨꙩꙪꙫꜢꜣꜱꝉꝏꝖꝗꝘꝙꞀꞁꞋꞌꞡꟼꟾﹾ�🃏"
)
LOOKALIKE_NAMES = (
    *("DIGIT", "CIRCLED", "VERTICAL", "WHITE CIRCLE", "BLACK CIRCLE", "DOMINO", "DIE FACE", "BRAILLE", "HARPOON"),
    *("FENCE", "SOLIDUS", "SLASH", "BRACKET", "FLOOR", "CEILING", "ELLIPSE"),
)


@lru_cache(maxsize=len(HERSHEY))
def hershey(font: str) -> list[tuple[str, Strokes]]:
    """Return the glyphs of a Hershey font, each with its key in that font, without those that look like a digit."""
    fonts = HersheyFonts(load_default_font=font)
    found = [
        (key, [np.array(stroke, float) for stroke in glyph.strokes if len(stroke) > 1])
        for key, glyph in fonts.all_glyphs.items()
        if key not in HERSHEY_LOOKALIKES[font]
    ]
    return [(key, strokes) for key, strokes in found if strokes]


def _looks_like_a_digit(character: str) -> bool:
    """Return whether `character` is a numeral, or can be read as a digit; also marks and characters without ink."""
    category = unicodedata.category(character)
    if category[0] in "NZCM" or category in CATEGORIES or BOX_DRAWING[0] <= character <= BOX_DRAWING[1]:
        return True
    letters = unicodedata.normalize("NFKD", character)[:2]  # without diacritics, and of ligatures
    if any(letter in LOOKALIKES or letter.isdigit() for letter in letters):
        return True
    return any(word in unicodedata.name(character, "") for word in LOOKALIKE_NAMES)


@lru_cache(maxsize=1)
def typefaces() -> dict[str, list[tuple[str, str]]]:
    """Return, by script, the characters to draw, each as (typeface, character)."""
    found: dict[str, list[tuple[str, str]]] = {script: [] for script in (*SCRIPTS, SYMBOLS)}
    for typeface in TYPEFACES:
        for code in sorted(_font(typeface).get_charmap()):
            character = chr(code)
            script = unicodedata.name(character, "").split(" ")[0]
            if script in HELD_OUT or _looks_like_a_digit(character):
                continue
            if not unicodedata.category(character).startswith("L"):
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
