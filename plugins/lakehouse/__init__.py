"""The engines of the lakehouse; nothing in here knows Airflow."""
