"""Tactical-Trader: cycle-aware coins by valuation."""
