"""What everything else stands on, and knows nothing of OpenTelemetry or Flask: processes, files, libraries."""
