"""Back-ups of the services, each part with a list of what it holds, and their restore, which is compared object by object."""
