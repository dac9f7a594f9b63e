"""New items enter a published pair without moving it: no vector that was computed before changes by a bit.

    published pair + log with new items -> what their content says -> rows behind the tables' last -> pair

Nothing is trained. The result joins the space of the pair, so vectors of known items stay in their index.
"""
