"""Fitness functions: the owner's formula, Sharpe, Sortino, Calmar, CVaR and probabilistic Sharpe."""
