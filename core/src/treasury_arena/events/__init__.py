"""Events: what happened, in words that never change meaning. Everything else is a projection of them."""
