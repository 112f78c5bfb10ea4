"""What a request puts on log lines, what it keeps of them, and the line that each request gets."""
