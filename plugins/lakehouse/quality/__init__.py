"""The checks of a contract, run by Trino."""
