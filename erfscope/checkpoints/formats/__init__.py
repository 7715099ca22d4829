"""One reader a format: each has `read(request) -> Network`, and imports its library inside."""
