"""What a release consists of, made and tried: ``make release-check``."""
