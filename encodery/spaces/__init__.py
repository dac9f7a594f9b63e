"""From one space to another: what a new version changes, and how an index gets there.

reading      inputs of a file, as an encoder sees them        vectors      files that `encodery encode` wrote
neighbours   who is near whom, exactly                         thresholds   what an old score is worth
compare      two encoders on the same inputs                   gate         whether the new one may follow
"""
