"""The routes: HTTP in, HTTP out. Each turns a request into domain values and an answer back; no maths."""
