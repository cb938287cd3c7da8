"""The search for good genomes: generations of score, select, cross and mutate on one (N, genes) array."""
