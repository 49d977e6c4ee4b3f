"""Round-trip time and retransmissions of every TCP connection on a Linux host."""

__version__ = "0.1.0"
