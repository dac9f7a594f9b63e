"""Texts that an exported encoder is compared on."""

from __future__ import annotations

SLIPS = "A woman is palying teh gutiar int he park"  # for encoders that read them as they were meant


def parity_texts(max_length: int) -> list[str]:
    """Texts of very different lengths and scripts for the parity check; too long ones among them."""
    longest = "many words in one text, " * max_length
    return [
        "Where is my parcel?",
        "a",
        SLIPS,
        "The quick brown fox jumps over the lazy dog.",
        longest,
        "Größe, naïveté and 東京 in one line 🙂",
        "MiXeD CaSe 1,234.50 EUR (incl. VAT)!",
        "\tspaces \n and   lines\r\n",
        "x" * 300,
        *(longest[: 7 * k] for k in range(1, 41)),
    ]
