"""Service level objectives: how fast a budget is spent, whether an objective makes sense, rules for back ends."""
