"""Data contracts (Open Data Contract Standard v3.1) as the one source of tables, mappings and checks."""

from lakehouse.contracts.checks import Check
from lakehouse.contracts.contract import Column, Contract, load, load_folder

__all__ = ["Check", "Column", "Contract", "load", "load_folder"]
