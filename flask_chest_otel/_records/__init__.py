"""The record of a finished request, and its delivery to the chests."""
