"""A savings account for Treasury Arena: model, exact integers, chain."""
