"""From whatever an application puts on `g` to what may be sent: converted, bounded, masked."""
