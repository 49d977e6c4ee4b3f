"""HTTP: the one server for every page.  It is given the pages and knows nothing of metrics.

`server.Server` runs them; `listening` takes the address first, `exposure` says whether it may be
served on.  Importing `listening`, `exposure` and `limits` is cheap; the rest imports uvicorn,
starlette, yaml, ssl.
"""
