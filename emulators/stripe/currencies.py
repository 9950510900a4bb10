"""Currencies that can be charged, by docs.stripe.com/currencies, and those with rules for their amounts."""

_CODES = """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd
    cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq
    gyd hkd hnl htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd
    lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk
    php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top
    try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""
_ZERO_DECIMAL = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
CURRENCIES = frozenset(_CODES.split())
ZERO_DECIMAL = frozenset(_ZERO_DECIMAL.split())
LAST_TWO_DIGITS_ZERO = frozenset({"isk", "ugx"})  # two-decimal in the API for backward compatibility
LAST_DIGIT_ZERO = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})  # three-decimal, charged to the tenth

# Digits an amount may have: eight, but more where a unit is worth little (docs.stripe.com/currencies).
_LARGEST = {"idr": 12, "lbp": 12, "cop": 10, "huf": 10, "inr": 10, "jpy": 10}

# The least that can be charged (docs.stripe.com/currencies#minimum-and-maximum-charge-amounts); an invoice
# below it is not collected: it counts as paid and its amount goes to the customer's balance as a debt.
_SMALLEST = {
    "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "usd": 50,
}  # fmt: skip


def smallest_charge(currency: str) -> int:
    """The least amount that is collected, in minor units; 0 where Stripe publishes none."""
    return _SMALLEST.get(currency, 0)


def largest_amount(currency: str) -> int:
    """The largest amount of one charge or line, in minor units."""
    return int(10 ** _LARGEST.get(currency, 8)) - 1


def smallest_step(currency: str) -> int:
    """Amounts must be multiples of this many minor units."""
    if currency in LAST_TWO_DIGITS_ZERO:
        return 100
    return 10 if currency in LAST_DIGIT_ZERO else 1
