"""Log lines of requests: the fields added to them, the lines kept in records, and one line for each request."""
