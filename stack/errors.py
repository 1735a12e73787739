"""What can go wrong while the stack is installed, started or used; each error is one sentence that ends in what to do."""


class StackError(Exception):
    """The stack cannot do what was asked; the text says what, where and what to do."""
