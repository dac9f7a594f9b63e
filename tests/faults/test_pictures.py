"""Hostile pictures cost no more memory than they may, read as a server reads them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pictures

MOST_MIB = 64
PROGRAM = """
import json, resource, sys, warnings
from pathlib import Path
from bundle import InputError, KINDS
from bundle.preprocess.image import Image, ImageFile

warnings.simplefilter("ignore")
preprocessor = KINDS["image"].load(ImageFile(side=128).to_bytes(), 1, ())

def read(content):
    try:
        one = Image.from_bytes(content)
        for limit in KINDS["image"].limits:
            if limit.measure(one) > limit.per_input.default:
                return "over a limit"
        preprocessor.prepare([one])
        return "pixels"
    except InputError as error:
        return error.code

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

contents = {path.name: path.read_bytes() for path in sorted(Path(".").iterdir())}
for name in ("plain PNG", "plain JPEG", "plain WEBP", "plain GIF"):
    read(contents[name])
before = peak_mib()
found = {name: read(content) for name, content in contents.items()}
print(json.dumps({"found": found, "mib": peak_mib() - before}))
"""


def test_no_hostile_picture_takes_much_memory(tmp_path: Path) -> None:
    """The peak over all of them, one after the other, beside that of small pictures."""
    files = pictures.hostile() | {
        f"plain {kind}": pictures.file_of(pictures.drawing(), kind) for kind in ("PNG", "JPEG", "WEBP", "GIF")
    }
    large = pictures.drawing(3200, 2500)
    files["8 megapixels with alpha"] = pictures.file_of(large.convert("RGBA"), compress_level=1)
    files["8 megapixels, progressive"] = pictures.file_of(large, "JPEG", progressive=True)
    files["32 megapixels, baseline"] = pictures.file_of(pictures.drawing(6400, 5000), "JPEG")
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)

    assert told["mib"] <= MOST_MIB
    assert len(told["found"]) == len(files) >= 40
    for name in ("32 megapixels, baseline", "8 megapixels with alpha", "8 megapixels, progressive"):
        assert told["found"][name] == "pixels"
