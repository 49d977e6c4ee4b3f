"""One small module for each sub-command: it wires a source to sinks."""
