"""A published encoder that reads misspelt words as they were meant, without training: the same weights.

    text bundle -> the same graph and files, `respell`, golden vectors of slips -> Draft
    bundle that joins its space -> the same, and joins the new one              -> Draft

Vectors of texts without slips are the old ones: old golden vectors are kept, and prove it, where inputs are
read as before. Since others differ, the space of a text encoder is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from bundle.directory import CARD, GOLDEN, Contents
from bundle.golden import Golden
from bundle.lineage import STARTED
from bundle.manifest import Joined, Manifest
from bundle.preprocess.text import RULE, Text
from bundle.publish import Draft, publish
from bundle.store import Store, build
from training.card import MADE_BY, with_card
from training.errors import ConfigError
from training.text.parity import SLIPS


def publish_respelt(store: Store, names: Sequence[str]) -> list[Manifest]:
    """Publish the current versions of these encoders again.

    Args:
        store: where they are.
        names: of text encoders, and of encoders that join the space of one that stands before them.

    Raises:
        ConfigError: one of them has nothing to change.
        BundleError: one is not published, not sound, or its vocabulary does not tell words.
    """
    made, followed = list[Manifest](), dict[str, Joined]()
    for name in names:
        contents = store.read(name, store.current(name))
        (manifest,) = publish(store.root, [respelt(contents, followed)])
        followed[contents.manifest.space] = Joined(name=name, version=manifest.version, space=manifest.space)
        made.append(manifest)
    return made


def respelt(contents: Contents, followed: Mapping[str, Joined]) -> Draft:
    """The encoder with the rule, if it takes texts, and in the space that took the place of the one it joins.

    Args:
        contents: of its bundle.
        followed: space to the one that took its place.

    Raises:
        ConfigError: see `publish_respelt`.
    """
    manifest, draft = contents.manifest, Draft.of(contents)
    if manifest.peers:
        raise ConfigError(f"{manifest.name} is one of a pair, whose items have no words to spell")
    joins = manifest.joins and followed.get(manifest.joins.space, manifest.joins)
    is_text = manifest.kind == "text" and not manifest.respell
    if not is_text and joins == manifest.joins:
        raise ConfigError(
            f"{manifest.name}/{manifest.version} would stay as it is: it takes no texts or respells already, "
            "and joins no space of a model before it; leave it out"
        )
    golden = Golden.from_bytes(contents.files[GOLDEN])
    draft = replace(draft, joins=joins, respell=RULE if is_text else manifest.respell)
    if is_text:
        golden = _with_slips(golden, contents)
        draft = replace(draft, golden=golden.to_bytes())
    _, _, made = contents.files[CARD].decode().partition(MADE_BY)
    return with_card(draft, _said(manifest, is_text=is_text) + made, golden.inputs[0])


def _with_slips(golden: Golden, contents: Contents) -> Golden:
    """The golden vectors with a text of slips more; where words are read otherwise, those of what is read."""
    manifest, draft, encoder = contents.manifest, Draft.of(contents), build(contents)
    preprocessor = encoder.kind.preprocessor(
        draft.preprocessor, manifest.max_length, manifest.languages, respell=RULE
    )
    inputs = [*golden.inputs, *(one for one in [SLIPS] if one not in golden.inputs)]
    prepared = preprocessor.prepare([Text(one) for one in inputs], golden.truncate)
    rows = [
        encoder.run([one])[0]
        if at >= len(golden.inputs) or "respelt" in one.facts.warned
        else golden.vectors[at]
        for at, one in enumerate(prepared)
    ]
    return replace(golden, inputs=inputs, vectors=np.stack(rows))


def _said(manifest: Manifest, *, is_text: bool) -> str:
    what = (
        "it reads words with swapped letters as they were meant; vectors of all other texts are the same"
        if is_text
        else "the vectors are the same, and the space that they join is the one that took the other's place"
    )
    origin = f"{manifest.name}/{manifest.version}, space {manifest.space}"
    return f"{STARTED} {origin}; no step was trained: {what}. That one was made so:\n\n"
