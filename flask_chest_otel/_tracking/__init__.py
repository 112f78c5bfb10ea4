"""What a route tracks: the marks that the decorator sets, the plan compiled from them, and the instruments."""
