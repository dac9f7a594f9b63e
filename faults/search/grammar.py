"""Random recipes, and random changes of one: within the limits of the routes, and otherwise awkward."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faults.search import shapes
from faults.search.shapes import Recipe, Shape

BODY, LARGE_BODY = 2_090_000, 16_700_000  # bytes that fit
LARGE = ("/score",)
COUNTS = ("times", "chars", "bytes", "parts", "base64")
MOST_COUNT = 20_000_000
ALPHABETS = (
    "a", "a ", "!", "the cat sat ", "é", "漢", "ﷺ", "\uff21", "a\u0316\u0301", "\U0001f468\u200d", "\x00",
    "1", "\n", "\\", '"', ",", "[{", "\ud800", "\U0001d538", "ǆ", "İ", "data:image/png;base64,AAAA",
)  # fmt: skip
ATOMS = (
    "[]", "{}", "0", "-0.0", "1e5", "1e999", "1.2345678", "9" * 300, '""', '"a"', "null", "true", "[0]",
    "[[]]", '{"a":0}', '{"id":"1"}', '{"id":"85123A","time":"2011-11-02"}', '{"history":[]}', '"\\u0061"',
    "1234567",
)  # fmt: skip
FEATURES = ("history", "country", "description", "price", "id", "content", "type", "text", "data", "shape")
DATATYPES = ("BOOL", "UINT8", "INT64", "FP16", "FP32", "FP64", "BYTES")
MODELS = ("text", "retail-user", "retail-item", "text-small")
PART = 'Content-Disposition: form-data; name="inputs"; filename="a"\r\nContent-Type: text/plain'


@dataclass(frozen=True)
class Route:
    """A POST route, as the API's document has it: its path and the fields of its JSON."""

    path: str
    fields: Mapping[str, Any]
    required: Sequence[str]


def routes(document: Mapping[str, Any]) -> list[Route]:
    """Every route that takes a body."""
    found = []
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema:
            found.append(Route(path, schema.get("properties", {}), schema.get("required", ())))
    return found


class Grammar:
    """Makes recipes.

    Args:
        document: OpenAPI's.
        seed: of all that is random.
    """

    def __init__(self, document: Mapping[str, Any], seed: int) -> None:
        self._routes, self._chance = routes(document), random.Random(seed)

    def new(self) -> Recipe:
        """A recipe out of nothing, as large as its route allows."""
        make = self._chance.choices(
            [self._json, self._lines, self._form, self._tensors, self._bytes], [16, 1, 1, 3, 1]
        )[0]
        return filled(make(), self._chance)

    def changed(self, recipe: Recipe) -> Recipe:
        """A copy with one to three changes."""
        found = copy.deepcopy(recipe)
        for _ in range(self._chance.randint(1, 3)):
            self._chance.choice([self._scale, self._replace, self._set_field, self._move])(found)
        if self._chance.random() < 0.6:
            return filled(found, self._chance)
        return found if shapes.size_of(found) <= limit(found) else filled(found, self._chance)

    def _json(self) -> Recipe:
        route = self._chance.choice(self._routes)
        fields = {name: self._valid(route.fields[name]) for name in route.required if name in route.fields}
        fields |= {"model": self._chance.choice(MODELS)} if "model" in route.fields else {}
        name = self._chance.choice([*route.fields, "unknown"])
        return {"path": self._path(route), "json": {"record": {**fields, name: self._shape()}}}

    def _lines(self) -> Recipe:
        line = self._chance.choice([self._shape(1), {"raw": self._chance.choice(["", " ", "{", '"'])}])
        model = self._chance.choice(MODELS)
        media = "application/x-ndjson"
        return {"path": f"/encode?truncate=end&model={model}", "media": media, "lines": line, "times": 1000}

    def _form(self) -> Recipe:
        media = f"multipart/form-data; boundary={shapes.BOUNDARY}"
        size = self._chance.choice([0, 1, 5000])
        return {"path": "/encode", "media": media, "parts": 1000, "bytes": size, "part": PART}

    def _tensors(self) -> Recipe:
        names = [self._chance.choice(FEATURES) for _ in range(self._chance.randint(1, 3))]
        path = f"/v2/models/{self._chance.choice(MODELS)}/infer"
        return {"path": path, "tensors": [self._tensor(name) for name in names]}

    def _tensor(self, name: str) -> dict[str, Any]:
        rows, columns = (
            self._chance.choice([1, 2, 512, 2048, 100_000]),
            self._chance.choice([1, 8, 512, 1000]),
        )
        kind = self._chance.choice(DATATYPES)
        width = {"BOOL": 1, "UINT8": 1, "FP16": 2, "FP32": 4, "BYTES": 4}.get(kind, 8)
        size = min(rows * columns * width, 1_900_000)
        rows = max(1, size // (columns * width))
        block = {"datatype": kind, "shape": [rows, columns], "bytes": rows * columns * width}
        return {"name": name, "times": self._chance.choice([1, 1, 1, 1000])} | block

    def _bytes(self) -> Recipe:
        return {"path": "/encode", "media": self._chance.choice(["image/png", "text/plain"]), "bytes": 1000}

    def _shape(self, depth: int = 3) -> Shape:
        chance = self._chance
        kinds = ["text", "atoms", "deep"] + (["list", "object", "record"] * 2 if depth > 0 else [])
        match chance.choice(kinds):
            case "text":
                shape = {
                    "text": chance.choice(ALPHABETS),
                    "chars": chance.choice([1, 8, 400, 16_384, 131_000]),
                }
                return shape | {flag: True for flag in ("numbered", "escaped") if chance.random() < 0.3}
            case "atoms":
                return {"list": {"raw": chance.choice(ATOMS)}, "times": chance.choice([1, 2048, 40_000])}
            case "deep":
                return {"deep": chance.choice("[{"), "times": chance.choice([100, 1000, 100_000])}
            case "record":
                return {"record": {chance.choice(FEATURES): self._shape(depth - 1) for _ in range(2)}}
            case kind:
                return {kind: self._shape(depth - 1), "times": chance.choice([1, 8, 96, 2048])}

    def _valid(self, schema: Mapping[str, Any]) -> Any:
        if options := schema.get("enum") or schema.get("anyOf"):
            one = self._chance.choice(options)
            return self._valid(one) if isinstance(one, Mapping) else one
        by_type: dict[str, Any] = {
            "integer": 1,
            "number": 1.0,
            "boolean": True,
            "null": None,
            "object": {},
            "array": [],
        }
        return schema.get("default", by_type.get(schema.get("type", ""), "a"))

    def _path(self, route: Route) -> str:
        return route.path.replace("{model}", self._chance.choice(MODELS)).replace("{version}", "1")

    def _scale(self, recipe: Recipe) -> None:
        if counts := list(_counts(recipe)):
            holder, key = self._chance.choice(counts)
            holder[key] = min(MOST_COUNT, max(1, int(holder[key] * self._chance.choice([0.1, 0.5, 2, 10]))))

    def _replace(self, recipe: Recipe) -> None:
        if places := list(_shapes(recipe)):
            holder, key = self._chance.choice(places)
            holder[key] = self._shape(1)

    def _set_field(self, recipe: Recipe) -> None:
        fields = recipe.get("json", {}).get("record")
        route = next((one for one in self._routes if one.path == recipe["path"]), None)
        if fields is None or route is None or not route.fields:
            return
        name = self._chance.choice(list(route.fields))
        if self._chance.random() < 0.7:
            fields[name] = self._valid(route.fields[name])
        else:
            fields.pop(name, None)

    def _move(self, recipe: Recipe) -> None:
        """To another route that reads a field of that name."""
        fields = recipe.get("json", {}).get("record", {})
        others = [one for one in self._routes if set(fields) & set(one.fields)]
        if others:
            recipe["path"] = self._path(self._chance.choice(others))


def limit(recipe: Recipe) -> int:
    """The bytes that its route takes."""
    is_large = recipe["path"].startswith(LARGE) or "parts" in recipe or "bytes" in recipe
    return LARGE_BODY if is_large else BODY


def filled(recipe: Recipe, chance: random.Random) -> Recipe:
    """One count made as large as the route's limit allows."""
    if "tensors" in recipe:  # whose shapes and bytes belong together: fewer of them
        while shapes.size_of(recipe) > limit(recipe):
            tensor = recipe["tensors"][-1]
            if tensor["times"] > 1:
                tensor["times"] //= 2
            else:
                recipe["tensors"].pop()
        return recipe
    if not (counts := list(_counts(recipe))):
        return recipe
    holder, key = chance.choice(counts)
    most = limit(recipe)
    for _ in range(12):
        size = shapes.size_of(recipe)
        if most * 0.9 <= size <= most:
            break
        share = most / max(size, 1) * (0.99 if size > most else 0.97)
        holder[key] = min(MOST_COUNT, max(1, int(holder[key] * min(share, 50))))
        if holder[key] == 1 and size > most:
            holder, key = chance.choice(counts)
    for holder, key in counts if shapes.size_of(recipe) > most else ():  # by all of them together
        holder[key] = 1
    return recipe


def _counts(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every number in a recipe that says how many."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in COUNTS and isinstance(inner, int):
                yield value, key
            else:
                yield from _counts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _counts(inner)


def _shapes(value: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place of a recipe that holds a shape."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("list", "object", "lines") or (
                key not in ("json", "record") and isinstance(inner, dict)
            ):
                yield value, key
            yield from _shapes(inner)


def name_of(recipe: Recipe) -> str:
    """A recipe in a line."""
    return json.dumps(recipe, ensure_ascii=True)
