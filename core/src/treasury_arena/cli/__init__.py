"""The `arena` command: one module per family of commands, no logic of its own."""
