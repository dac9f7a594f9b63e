"""Which of two versions that share an alias answers: decided by a key of the caller's, always alike.

The newer version has the keys whose hash is below its share. So a key that has come to it stays as long as
its share grows, and in a pair of towers, which hash alike, a user and the items are of one version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bundle.aliases import ALL
from bundle.store import version_key

BITS = 64


def chosen(shares: Mapping[str, int], salt: str, key: str) -> str:
    """The version for a key.

    Args:
        shares: version to percent, of one or two.
        salt: another one for every alias, so that not the same callers are always the first.
        key: of the caller; without one, "", it is the version with the larger share, the older of equals.
    """
    older, *newer = sorted(shares, key=version_key)
    if not newer:
        return older
    if not key:
        return older if shares[older] >= shares[newer[0]] else newer[0]
    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=BITS // 8).digest()
    return newer[0] if int.from_bytes(digest) * ALL < shares[newer[0]] << BITS else older
