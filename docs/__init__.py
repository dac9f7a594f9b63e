"""The pages, and what keeps them true: `python3 dev.py docs`.

page > examples (run against a real server), tables (from the code and from results) > page
"""
