"""Encodes whole files: `encodery encode IN OUT`.

    rows (rows.py) -> chunks -> encoder or server (backends.py) -> parts (parts.py) -> OUT (outputs.py)

What is done lies in OUT.partial/ as parts, each of a range of input rows; a part is there whole or not at
all. So a run that was killed goes on after its last part, and no row is lost or written twice.
"""
