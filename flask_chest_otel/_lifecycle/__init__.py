"""The steps of a request, and how they are put on an application and taken off again."""
