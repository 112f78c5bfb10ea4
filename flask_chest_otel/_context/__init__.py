"""The typed context of a request, and the propagation of its fields to other services as W3C baggage."""
