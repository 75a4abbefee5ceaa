"""What a machine is: its hosts, its compilers and caches, its signals."""
