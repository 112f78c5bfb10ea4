"""Who exports what: the decision, and the providers that follow from it."""
