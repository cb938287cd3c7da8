"""The daemon: an arena that goes on while its market does, and whose agents trade on a chain once that is armed.

It stands on the assembly: `brain` is the arena as it learns what became known, `readings` is what the fuse judges by, `service`
says which jobs there are and what each does. A scheduler calls the jobs, the store's lease lets one daemon at a time do so.
"""
