"""Country names as people type them → ISO 3166-1 alpha-2, which is what Stripe takes."""

from __future__ import annotations

import gettext
import re
import unicodedata
from functools import lru_cache

# Names in daily use that pycountry 26.2 (iso-codes) does not carry, in the form that `_fold` gives them.
_ALIASES = {
    "cape verde": "CV",
    "congo brazzaville": "CG",
    "congo kinshasa": "CD",
    "congo dr": "CD",
    "democratic republic of congo": "CD",
    "dr congo": "CD",
    "east timor": "TL",
    "emirates": "AE",
    "england": "GB",
    "great britain": "GB",
    "hong kong sar": "HK",
    "ivory coast": "CI",
    "korea south": "KR",
    "macao sar": "MO",
    "macedonia": "MK",
    "northern ireland": "GB",
    "palestine": "PS",
    "republic of ireland": "IE",
    "scotland": "GB",
    "turkey": "TR",
    "uae": "AE",
    "uk": "GB",
    "us of a": "US",
    "vatican city": "VA",
    "wales": "GB",
    "россия": "RU",
}

# The languages whose country names are understood. Not all 162 of pycountry: some catalogues hold wrong
# entries (in one, "Mexico" is Malaysia), and a wrong country means wrong tax.
_LANGUAGES = """
    bg cs da de el es et fi fr hr hu it ja ko lt lv nb nl nn pl pt pt_BR ro ru sk sl sv tr uk vi zh_CN zh_TW
"""


def country_code(text: str) -> str | None:
    """The alpha-2 code of a country: named in English or one of 32 other languages, or by its ISO codes.

    Case, accents, punctuation and surrounding space do not matter. None when the name is empty, unknown, or
    names different countries in different languages.
    """
    folded = _fold(text)
    if not folded:
        return None
    english, translated = _index()
    return _ALIASES.get(folded) or english.get(folded) or translated.get(folded)


@lru_cache(maxsize=1)
def _index() -> tuple[dict[str, str], dict[str, str]]:
    """Folded name → alpha-2, in English (with the codes) and in the other languages.

    Built on first use: 0.2 s, once a process.
    """
    import pycountry

    english: dict[str, str] = {}
    for country in pycountry.countries:
        for name in (country.alpha_2, country.alpha_3, *_names(country)):
            english[_fold(name)] = country.alpha_2
    found: dict[str, set[str]] = {}
    for language in _LANGUAGES.split():
        catalogue = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language])
        for country in pycountry.countries:
            for name in _names(country):
                found.setdefault(_fold(catalogue.gettext(name)), set()).add(country.alpha_2)
    return english, {name: codes.pop() for name, codes in found.items() if len(codes) == 1}


def _names(country: object) -> list[str]:
    given = (getattr(country, attribute, "") for attribute in ("name", "common_name", "official_name"))
    return [name for name in given if name]


def _fold(text: str) -> str:
    """Lower case, without accents, points and "the"; "&" is "and", other punctuation counts as a space."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("&", " and "))
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    bare = re.sub(r"[.'’`]", "", bare)
    return " ".join(word for word in re.sub(r"[^\w]+", " ", bare).split() if word != "the")
