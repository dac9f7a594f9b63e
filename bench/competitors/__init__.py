"""Other servers, each in an environment of its own under .venv/, made when it is first measured.

Those that are libraries stand behind the FastAPI application that one would write for them at first. Each
file here that is run (`python bench/competitors/NAME.py PORT DIRECTORY`) may import only what `NAME.txt`
installs.
"""
