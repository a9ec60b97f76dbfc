"""What runs live: tasks, files and assembly around the core. The only place where sockets, clock and core meet."""
