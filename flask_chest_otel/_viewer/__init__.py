"""The web pages over the store, for ``flask chest serve`` and for the blueprint in an application."""
