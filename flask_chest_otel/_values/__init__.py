"""Turns the objects that an application puts on ``g`` into values that may be sent: converted, bounded, masked."""
