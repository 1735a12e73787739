"""Images: looked at whole, stored by content, registered once."""
