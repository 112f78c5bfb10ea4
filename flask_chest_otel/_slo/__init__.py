"""Service level objectives: how fast an error budget burns, checks of objectives, and rules for back ends."""
