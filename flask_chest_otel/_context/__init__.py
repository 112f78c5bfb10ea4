"""The typed context, and how its fields travel to other services."""
