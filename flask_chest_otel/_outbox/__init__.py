"""From finished spans and metrics to the collector, by way of a file that survives the process."""
