"""The bundle's pages in Airflow: on call, and the runbooks. FastAPI is imported here, so nothing but the API server may import this."""
