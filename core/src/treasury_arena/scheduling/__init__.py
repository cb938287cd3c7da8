"""Running jobs at their slots: what every scheduler shares, and the plain one that needs nothing else."""
