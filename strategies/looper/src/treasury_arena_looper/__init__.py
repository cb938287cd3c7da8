"""Looper: borrows against what it lends while the spread pays, above a floor of health."""
