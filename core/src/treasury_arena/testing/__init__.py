"""The kit for plugin authors: a reference protocol, tiny strategies, conformance suites to subclass, and small arenas.

Needs pytest and hypothesis for `treasury_arena.testing.conformance`; everything else needs the core alone.
"""
