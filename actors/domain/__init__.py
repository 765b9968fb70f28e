"""The pure core: what is decided, without sockets, actors or a clock."""
