"""What a finished request was, and the way of these records to the chests."""
