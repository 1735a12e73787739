"""stub"""
from airflow.plugins_manager import AirflowPlugin
class LakehousePlugin(AirflowPlugin):
    name = "lakehouse"
