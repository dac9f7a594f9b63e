"""The inputs of a request in the forms in which they come, and the limits on them.

    JSON values | tensors | bytes -> (the model is found first; its kind reads them) -> domain inputs, bounded

Knows no kind: how an input looks and what bounds it is in `bundle.preprocess`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.api.large import INPUT
from app.engine import Loaded
from app.http.errors import InvalidRequest, UnsupportedMediaType
from app.settings import PREFIX, Settings
from bundle import Input, InputError, Kind, Limit, Tensor, Truncate
from bundle.preprocess import KnowsById, LimitSetting, Tokenizes
from bundle.values import json_type


class GivenInputs(Protocol):
    """Inputs that are still to be read by the model that they are for."""

    def __len__(self) -> int:
        """The number of inputs, known before they are read."""
        ...

    @property
    def work(self) -> int:
        """What reading them takes, in bytes of JSON that take as long to parse."""
        ...

    def read(self, loaded: Loaded) -> list[Input]:
        """Domain inputs. Raises InputError, InvalidRequest."""
        ...


@dataclass(frozen=True, slots=True)
class JsonInputs:
    """JSON values; `now_s` is unix time that moments within them are relative to."""

    values: Sequence[Any]
    now_s: float

    def __len__(self) -> int:
        return len(self.values)

    @property
    def work(self) -> int:
        return INPUT * len(self.values) + _text_length(self.values)

    def read(self, loaded: Loaded) -> list[Input]:
        return loaded.encoder.read(self.values, self.now_s)


def _text_length(values: Sequence[Any]) -> int:
    """Characters of the inputs, and of what objects name: base64 has to be decoded. Few calls for each."""
    named = [value for one in values if one.__class__ is dict for value in one.values()]
    return sum(map(len, [one for one in (*values, *named) if one.__class__ is str or one.__class__ is bytes]))


class ItemInputs(JsonInputs):
    """JSON values, of which an id stands for the item of that id where the model knows items by theirs."""

    __slots__ = ()

    def read(self, loaded: Loaded) -> list[Input]:
        preprocessor, values = loaded.encoder.preprocessor, self.values
        if isinstance(preprocessor, KnowsById):
            values = [preprocessor.record_of(value) for value in values]
        return loaded.encoder.read(values, self.now_s)


class TextInputs(JsonInputs):
    """JSON values that must be texts; for a model that takes files, those in any form that it reads."""

    __slots__ = ()
    takes = "strings only"  # for messages

    def read(self, loaded: Loaded) -> list[Input]:
        if loaded.encoder.kind.media_types:
            return JsonInputs.read(self, loaded)
        for index, item in enumerate(self.values):
            if not isinstance(item, str):
                takes = f"{loaded.manifest.name} takes {loaded.encoder.kind.plural}"
                message = f"expected a text, this is {described(item)}; {takes}, and this route {self.takes}"
                raise InputError(index, "wrong_type", message)
        return JsonInputs.read(self, loaded)


class TextOrIdInputs(TextInputs):
    """JSON values that are texts, or lists of token ids of the model's own tokenizer."""

    __slots__ = ()
    takes = "strings, or lists of token ids"

    @property
    def work(self) -> int:
        return super().work + sum(len(one) for one in self.values if isinstance(one, list))

    def read(self, loaded: Loaded) -> list[Input]:
        preprocessor, inputs = loaded.encoder.preprocessor, list[Input]()
        if not isinstance(preprocessor, Tokenizes) or not any(map(are_ids, self.values)):
            return TextInputs.read(self, loaded)
        for index, item in enumerate(self.values):
            try:
                if are_ids(item):
                    inputs.append(preprocessor.of_ids(item))
                else:
                    inputs += TextInputs.read(TextOrIdInputs([item], self.now_s), loaded)
            except InputError as error:
                raise error.at(index) from None
        return inputs


def are_ids(item: Any) -> bool:
    """Tell whether an input is a list of token ids, or may be one, as it is empty."""
    return isinstance(item, list) and set(map(type, item)) <= {int}


# What libraries of multimodal models call the parts of an input that are no text.
_MEDIA = frozenset({"image", "images", "image_url", "image_base64", "input_image", "image_bytes"})
_MEDIA |= {"audio", "audio_url", "input_audio", "video", "video_url", "video_base64", "pdf", "file", "bytes"}


def described(item: Any) -> str:
    """What an input is that is no string."""
    return "an object with a picture, a sound or a file" if is_media(item) else json_type(item)


def is_media(item: Any) -> bool:
    """Tell whether an input, or a part of one, is an object that libraries send for a picture or a sound."""
    if not isinstance(item, dict):
        return False
    kind = item.get("type")
    return not _MEDIA.isdisjoint(item) or (isinstance(kind, str) and kind in _MEDIA)


@dataclass(frozen=True, slots=True)
class TensorInputs:
    """Tensors by name; their first axis are the inputs."""

    tensors: Mapping[str, Tensor]
    now_s: float

    def __len__(self) -> int:
        return max((len(tensor.rows) for tensor in self.tensors.values()), default=0)

    @property
    def work(self) -> int:
        return INPUT * sum(len(tensor.rows) * len(tensor.rows[0]) for tensor in self.tensors.values())

    def read(self, loaded: Loaded) -> list[Input]:
        encoder = loaded.encoder
        try:
            values = encoder.kind.from_tensors(encoder.schema(), self.tensors)
        except ValueError as error:
            raise InvalidRequest(str(error), code="invalid_tensor", param="inputs") from None
        return encoder.read(values, self.now_s)


@dataclass(frozen=True, slots=True)
class MediaInputs:
    """Bytes, each with its media type."""

    parts: Sequence[tuple[str, bytes]]

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def work(self) -> int:
        return sum(INPUT + len(content) for _, content in self.parts)

    def read(self, loaded: Loaded) -> list[Input]:
        readers, inputs = loaded.encoder.kind.media_types, list[Input]()
        for index, (media_type, content) in enumerate(self.parts):
            check_media_type(media_type, loaded)
            try:
                inputs.append(readers[media_type](content))
            except InputError as error:
                raise error.at(index) from None
        return inputs


def read_inputs(
    given: GivenInputs, loaded: Loaded, settings: Settings, truncate: Truncate = "none"
) -> Sequence[Input]:
    """Domain inputs (n >= 1), none of them over a limit: where that was asked for, they are cut to it.

    Raises:
        InvalidRequest, InputError: naming the item, the limit and the way out.
    """
    check_count(len(given), settings)
    return within_limits(given.read(loaded), loaded.encoder.kind, settings, truncate)


def check_count(count: int, settings: Settings) -> None:
    """Raise InvalidRequest unless there is one input at least, and no more than the limit."""
    if count == 0:
        raise InvalidRequest(
            "the list is empty; send at least one input", code="empty_inputs", param="inputs"
        )
    if count > settings.max_items:
        raise InvalidRequest(
            f"{count} inputs, the limit is {settings.max_items} (ENCODERY_MAX_ITEMS); send several requests",
            code="too_many_inputs",
            param="inputs",
        )


def within_limits(
    inputs: Sequence[Input], kind: Kind, settings: Settings, truncate: Truncate = "none"
) -> Sequence[Input]:
    """The inputs (n >= 1), those that are over a limit cut to it where that was asked for and can be done.

    Raises:
        InputError, InvalidRequest: for what is over a limit of the kind.
    """
    for limit in kind.limits:
        sizes, most = _sizes(limit, inputs), settings.value(limit.per_input)
        if max(sizes) > most:
            if truncate == "none" or limit.cut is None:
                raise _too_large(limit, sizes, most)
            inputs = [
                limit.cut(one, most, truncate) if size > most else one
                for one, size in zip(inputs, sizes, strict=True)
            ]
            sizes = _sizes(limit, inputs)
        if limit.per_request is None:
            continue
        if sum(sizes) > (most := settings.value(limit.per_request)):
            where = f"the limit is {most} ({variable(limit.per_request)})"
            raise InvalidRequest(
                f"the inputs have {sum(sizes)} {limit.unit} together, {where}; send several requests",
                code="too_large",
                param="inputs",
            )
    return inputs


def _too_large(limit: Limit, sizes: Sequence[int], most: int) -> InputError:
    index = next(index for index, size in enumerate(sizes) if size > most)
    way_out = "shorten it" if limit.cut is None else 'shorten it or send "truncate":"end"'
    where = f"the limit is {most} ({variable(limit.per_input)})"
    return InputError(index, "too_large", f"{sizes[index]} {limit.unit}, {where}; {way_out}")


def variable(setting: LimitSetting) -> str:
    """The environment variable of a limit."""
    return f"{PREFIX}{setting.name.upper()}"


def _sizes(limit: Limit, inputs: Sequence[Input]) -> list[int]:
    try:
        return [limit.measure(one) for one in inputs]
    except InputError:
        pass
    for index, one in enumerate(inputs):  # once more, to name it
        try:
            limit.measure(one)
        except InputError as error:
            raise error.at(index) from None
    raise AssertionError("an input can be measured, or it cannot")


def check_media_type(media_type: str, loaded: Loaded) -> None:
    """Raise UnsupportedMediaType unless the model takes bytes of that type."""
    taken = loaded.encoder.kind.media_types
    if media_type not in taken:
        types = ", ".join(["application/json", "application/x-ndjson", *taken])
        raise UnsupportedMediaType(
            f"{loaded.manifest.name} takes no body of that Content-Type; for JSON in UTF-8 send the header "
            f"Content-Type: application/json; it takes: {types}",
            code="unsupported_media_type",
        )


def check_takes_media(loaded: Loaded) -> None:
    """Raise UnsupportedMediaType for a model that takes no bytes, of any type."""
    if not loaded.encoder.kind.media_types:
        check_media_type("", loaded)
