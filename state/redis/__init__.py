"""State in Redis, shared by all instances that use the same one."""
