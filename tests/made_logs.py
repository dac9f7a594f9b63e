"""Logs as people have them, made up: columns of many names and notations, whose meaning is known."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

USERS, ITEMS, ROWS = 60, 40, 1500


def write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """A CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def pairs(seed: int = 0) -> list[tuple[int, int]]:
    """Who and what, row by row: few items are taken often."""
    chance = random.Random(seed)
    return [(chance.randrange(USERS), int(chance.random() ** 2 * ITEMS)) for _ in range(ROWS)]


def wines(directory: Path) -> list[Path]:
    """Ratings by halves, and wines with lists written out, a second id and an address."""
    chance = random.Random(1)
    log = [
        (
            n,
            1000 + user,
            100_000 + item,
            chance.choice([2010, 2011, "N.V."]),
            chance.choice([1, 2, 2.5, 3, 3.5, 4, 4.5, 5]),
            f"20{chance.randint(12, 20)}-0{chance.randint(1, 9)}-1{chance.randint(0, 9)} 10:11:12",
        )
        for n, (user, item) in enumerate(pairs())
    ]
    items = [
        (
            100_000 + item,
            f"Chateau {chance.choice('ABCDE')} Reserve {item}",
            str(chance.sample(["Pork", "Beef", "Lamb", "Mature Cheese"], 2)),
            12 + item / 20,
            item,
            f"http://wines.example/{item}",
            "always",
        )
        for item in range(ITEMS)
    ]
    return [
        write(
            directory / "wines.csv",
            ["WineID", "WineName", "Harmonize", "ABV", "id", "Website", "Note"],
            items,
        ),
        write(directory / "log.csv", ["RatingID", "UserID", "WineID", "Vintage", "Rating", "Date"], log),
    ]


def games(directory: Path) -> list[Path]:
    """Times in milliseconds, a birth date that is no time of the log, a price that is no item."""
    chance = random.Random(2)
    rows = [
        (
            f"u{user}",
            f"Game {item}",
            chance.randint(1, 10),
            1_500_000_000_000 + chance.randrange(10**11),
            19.99 + item,
            f"19{50 + user % 50}-05-1{user % 10}",
        )
        for user, item in pairs()
    ]
    return [write(directory / "log.csv", ["user", "game", "rating", "time", "price", "birth"], rows)]


def nameless(directory: Path) -> list[Path]:
    """Columns whose names say nothing."""
    chance = random.Random(3)
    rows = [
        (user, f"x{item}", 1_600_000_000 + chance.randrange(10**7), chance.choice("pqr"))
        for user, item in pairs()
    ]
    return [write(directory / "log.csv", ["a", "b", "c", "d"], rows)]


def visits(directory: Path) -> list[Path]:
    """Sessions that each are one visitor's, American dates, kinds of events, and users in JSONL."""
    chance = random.Random(4)
    rows = [
        (
            user + USERS * chance.randrange(9),
            user,
            item,
            chance.choices(["view", "cart", "buy"], [90, 8, 2])[0],
            f"{chance.randint(1, 12)}/{chance.randint(13, 28)}/2023 22:13",
        )
        for user, item in pairs()
    ]
    users = directory / "users.jsonl"
    users.write_text(
        "".join(json.dumps({"visitorid": n, "segment": "AB"[n % 2]}) + "\n" for n in range(USERS)),
        encoding="utf-8",
    )
    header = ["session_id", "visitorid", "itemid", "event", "ts"]
    return [write(directory / "log.csv", header, rows), users]


def orders(directory: Path) -> list[Path]:
    """Order lines with returns, prices that waver, and the user in no column's name."""
    chance = random.Random(5)
    rows = [
        (
            f"o{user * 40 + chance.randrange(5)}",
            f"SKU-{item}",
            chance.choices([1, 2, 12, -1], [50, 30, 18, 2])[0],
            f"2023-11-{chance.randint(1, 28):02} 0{chance.randint(0, 9)}:00",
            round(1 + item + chance.random() / 10, 2),
            user,
        )
        for user, item in pairs()
    ]
    return [write(directory / "log.csv", ["order", "sku", "qty", "placed", "unit_price", "who"], rows)]
