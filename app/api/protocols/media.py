"""Pictures and sounds as other protocols' libraries send them, in our form: `{"image": ...}`.

    {"type": "image_url", "image_url": {"url": "data:..."}}       OpenAI's, vLLM's and Cohere's parts
    {"type": "input_audio", "input_audio": {"data": "..."}}       OpenAI's

Whether a model takes them is for the model to say, and addresses are refused there, too: nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.http.errors import InvalidRequest

_INNER = ("url", "data")  # where a part's file stands, if it is an object
_FIELDS = {  # of a part, to ours
    "image_url": "image",
    "image": "image",
    "image_base64": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio": "audio",
}


def media_of(part: Any) -> dict[str, Any] | None:
    """The picture or the sound that a part of an input is; None for any other part."""
    if not isinstance(part, dict):
        return None
    for theirs, ours in _FIELDS.items():
        if theirs in part and part.get("type", theirs) == theirs:
            value = part[theirs]
            if isinstance(value, dict):
                value = next((value[name] for name in _INNER if name in value), None)
            return {ours: value}
    return None


def of_content(parts: Sequence[Any], place: str) -> dict[str, Any] | None:
    """The one picture or sound of an input's parts; None if they have none.

    Raises:
        InvalidRequest: there are several, or a text beside it: an input has one vector, of one thing.
    """
    found = [media for part in parts if (media := media_of(part)) is not None]
    if not found:
        return None
    beside = [part for part in parts if media_of(part) is None and not _is_blank(part)]
    if len(found) > 1 or beside:
        raise InvalidRequest(
            f"{place}: a vector is of one picture, sound or text; send each as an input of its own",
            code="unsupported",
        )
    return found[0]


def _is_blank(part: Any) -> bool:
    """A text without anything in it, which some libraries put beside."""
    return isinstance(part, dict) and part.get("type") == "text" and not str(part.get("text", "")).strip()


def of_messages(messages: Any) -> dict[str, Any]:
    """The one picture or sound of a conversation, as vLLM takes it. Raises InvalidRequest."""
    parts = list[Any]()
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        parts += content if isinstance(content, list) else [{"type": "text", "text": content}]
    found = of_content(parts, "messages")
    if found is None:
        message = 'messages: conversations are not read; send texts as "input"'
        raise InvalidRequest(message, code="unsupported", param="messages")
    return found
