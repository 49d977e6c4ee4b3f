"""What the figures mean: histogram, key, snapshot, interval.  Pure: no I/O, no clock."""
