"""From five logits to a score: levels, soft comparison, anchors, exact Thurstone MAP. Pure numpy."""
