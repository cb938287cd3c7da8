"""Vectorised genetic operators: selection, crossover and mutation of mixed genomes."""
