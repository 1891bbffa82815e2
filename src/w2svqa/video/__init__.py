"""Files in and out: probing, streaming decode, colour, resizing, encoding. PyAV only."""
