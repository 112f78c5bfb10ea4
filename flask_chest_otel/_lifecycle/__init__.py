"""The steps of a request, and the code that installs them on an application and removes them."""
