"""`python -m tcpvitals` is `tcpvitals`."""

from tcpvitals.commands.main import run

run()
