"""The native stack: the bundle's services on one machine, without a container engine."""
