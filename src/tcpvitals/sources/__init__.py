"""Where snapshots and events come from; sinks never know which source they have."""
