"""The command line: parse, build a configuration, make one call."""
