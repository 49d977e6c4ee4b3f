"""The door to the kernel half: what this host can do, what we make of it, and the maps as arrays.

`host` and `probe` collect facts, `plan` decides from them (pure), `loaded` acts.  `libbpf` is
the only module that speaks to the library, `btf` the only one that knows what records look like.
"""
