"""Hooks: an Airflow connection turned into one of the engines' clients."""
