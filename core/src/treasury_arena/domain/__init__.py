"""Plain values of the field: assets and amounts, market frames, genes, stages. No I/O, no engine."""
