"""What a route tracks: marks of the decorator, the plan made of them, and the instruments."""
