"""The command: see the package."""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import urllib.request
from pathlib import Path

import faults.search
from faults.search.asking import Cost, ask, cheapest
from faults.search.grammar import Grammar, name_of
from faults.search.shapes import Recipe
from faults.search.watched import Watched, watched

ROOT = Path(__file__).parents[2]
SEEDS = Path(__file__).with_name("seeds.json")
KEPT = 12  # of each sort, which are changed further
FRESH = 0.35  # of the recipes are new
SURE = 3  # times that what seems bad is sent again


def main() -> None:
    """Search, and print what was worst."""
    parser = argparse.ArgumentParser(
        prog="python -m faults.search",
        description=faults.search.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--seed", type=int, default=None, help="of all that is random")
    parser.add_argument("--keep", action="store_true", help="add the worst to seeds.json")
    options = parser.parse_args()
    seed = random.randrange(1 << 30) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with watched(options.models) as server:
        worst = _search(server, seed, 60 * options.minutes)
    for cost, recipe in worst:
        print(f"{cost.stall_ms:8.1f} ms {cost.grown_mib:8.1f} MiB  {cost.status}  {name_of(recipe)}")
    if options.keep:
        _keep([recipe for _, recipe in worst])


def seeds() -> list[Recipe]:
    """The worst that were found so far."""
    found: list[Recipe] = json.loads(SEEDS.read_text())
    return found


def _search(server: Watched, seed: int, seconds: float) -> list[tuple[Cost, Recipe]]:
    with urllib.request.urlopen(f"{server.url}/openapi.json") as response:
        grammar = Grammar(json.load(response), seed)
    chance, found, until_s = random.Random(seed), list[tuple[Cost, Recipe]](), time.monotonic() + seconds
    waiting, count = seeds() if SEEDS.exists() else [], 0
    while time.monotonic() < until_s:
        if waiting:
            recipe = waiting.pop()
        elif not found or chance.random() < FRESH:
            recipe = grammar.new()
        else:
            recipe = grammar.changed(chance.choice(found)[1])
        cost, count = ask(server, recipe), count + 1
        if _stands_out(cost, found):
            cost = cheapest(server, recipe, SURE)
            found = _best([*found, (cost, recipe)])
            print(f"{count:6} {cost.stall_ms:8.1f} ms {cost.grown_mib:8.1f} MiB  {cost.status}  "
                  f"{name_of(recipe)[:200]}", flush=True)  # fmt: skip
    print(f"{count} requests", file=sys.stderr)
    return found


def _stands_out(cost: Cost, found: list[tuple[Cost, Recipe]]) -> bool:
    if len(found) < 2 * KEPT:
        return True
    stalls = sorted((one.stall_ms for one, _ in found), reverse=True)
    growths = sorted((one.grown_mib for one, _ in found), reverse=True)
    return cost.stall_ms > stalls[KEPT - 1] or cost.grown_mib > growths[KEPT - 1]


def _best(found: list[tuple[Cost, Recipe]]) -> list[tuple[Cost, Recipe]]:
    """Those with the longest stalls, and those with the largest growth."""
    stalls = sorted(found, key=lambda one: -one[0].stall_ms)[:KEPT]
    growths = sorted(found, key=lambda one: -one[0].grown_mib)[:KEPT]
    return stalls + [one for one in growths if one not in stalls]


def _keep(recipes: list[Recipe]) -> None:
    known = seeds() if SEEDS.exists() else []
    lines = [name_of(one) for one in [*known, *(one for one in recipes if one not in known)]]
    SEEDS.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
