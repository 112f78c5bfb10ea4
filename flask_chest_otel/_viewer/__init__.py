"""The page over the store: what ``flask chest serve`` shows, and the blueprint for an application of one's own."""
