"""What the end-to-end tests stand on: a client, the daemon, web servers."""
