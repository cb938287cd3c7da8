"""The command `arena parity`: every protocol's arithmetic against the contracts' bytecode."""
