"""The subcommands that the device has: one file each, loaded when called."""
