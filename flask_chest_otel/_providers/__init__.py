"""The decision about ``export=``, and the OpenTelemetry providers that follow from it."""
