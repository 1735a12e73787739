"""The keys that Superset 6.1 takes in each object of an import, as data.

Sources, in apache-superset 6.1.0 (`marshmallow` refuses every other key as "Unknown field"): `ImportV1ChartSchema` in
`superset/charts/schemas.py`, `ImportV1DashboardSchema` in `superset/dashboards/schemas.py`, `ImportV1DatasetSchema` with its columns,
metrics and folders in `superset/datasets/schemas.py`, `ImportV1DatabaseSchema` with its extra in `superset/databases/schemas.py`,
`ImportV1SavedQuerySchema` in `superset/queries/saved_queries/schemas.py`, `ImportV1ThemeSchema` in `superset/themes/schemas.py`.

A value is its type, then `*` for a key that must be there, and `?` for one that may be null. Types: str, int, bool, dict, list, uuid,
json (JSON as text), any, and names of other entries of this table (`column` in a list of them is `[column]`). Keys of older releases
that 6.1 still takes have the words "older".
"""

from __future__ import annotations

FORMAT = "1.0.0"

_MANAGED = {"is_managed_externally": "bool?", "external_url": "str?"}
_IDENTITY = {"uuid": "uuid*", "version": "str*"}

SCHEMAS: dict[str, dict[str, str]] = {
    "charts": {
        "slice_name": "str*",
        "description": "str?",
        "certified_by": "str?",
        "certification_details": "str?",
        "viz_type": "str*",
        # The importer reads `params` without looking whether it is there (`superset/commands/chart/importers/v1/utils.py`).
        "params": "dict*",
        "query_context": "json?",
        "cache_timeout": "int?",
        "dataset_uuid": "uuid*",
        "tags": "[str]?",
        **_IDENTITY,
        **_MANAGED,
    },
    "dashboards": {
        "dashboard_title": "str*",
        "description": "str?",
        "css": "str?",
        "slug": "str?",
        # The same (`superset/commands/importers/v1/assets.py`, `find_chart_uuids`).
        "position": "dict*",
        "metadata": "dict",
        "certified_by": "str?",
        "certification_details": "str?",
        "published": "bool?",
        "tags": "[str]?",
        "theme_uuid": "uuid?",
        "theme_id": "int?",
        **_IDENTITY,
        **_MANAGED,
    },
    "datasets": {
        "table_name": "str*",
        "main_dttm_col": "str?",
        "currency_code_column": "str?",
        "description": "str?",
        "default_endpoint": "str?",
        "offset": "int",
        "cache_timeout": "int?",
        "schema": "str?",
        "catalog": "str?",
        "sql": "str?",
        "source_db_engine": "str?",
        "params": "dict?",
        "template_params": "dict?",
        "filter_select_enabled": "bool",
        "fetch_values_predicate": "str?",
        "extra": "dict?",
        "columns": "[column]",
        "metrics": "[metric]",
        "database_uuid": "uuid*",
        "data": "str",
        "data_file": "str?",
        "normalize_columns": "bool",
        "always_filter_main_dttm": "bool",
        "folders": "[folder]?",
        **_IDENTITY,
        **_MANAGED,
    },
    "column": {
        "column_name": "str*",
        "extra": "dict?",
        "verbose_name": "str?",
        "is_dttm": "bool?",
        "is_active": "bool?",
        "type": "str?",
        "advanced_data_type": "str?",
        "groupby": "bool",
        "filterable": "bool",
        "expression": "str?",
        "description": "str?",
        "python_date_format": "str?",
        "datetime_format": "str?",
    },
    "metric": {
        "metric_name": "str*",
        "verbose_name": "str?",
        "metric_type": "str?",
        "expression": "str*",
        "description": "str?",
        "d3format": "str?",
        "currency": "dict?",
        "extra": "dict?",
        "warning_text": "str?",
    },
    "folder": {"uuid": "uuid*", "type": "str", "name": "str", "description": "str?", "children": "[folder]?"},
    "databases": {
        "database_name": "str*",
        "sqlalchemy_uri": "str*",
        "password": "str?",
        "encrypted_extra": "str?",
        "masked_encrypted_extra": "str",
        "cache_timeout": "int?",
        "expose_in_sqllab": "bool",
        "allow_run_async": "bool",
        "allow_ctas": "bool",
        "allow_cvas": "bool",
        "allow_dml": "bool",
        "allow_csv_upload": "bool",
        "allow_file_upload": "bool",  # older
        "impersonate_user": "bool",
        "extra": "extra",
        "ssh_tunnel": "ssh_tunnel?",
        "configuration_method": "str?",
        **_IDENTITY,
        **_MANAGED,
    },
    "extra": {
        "metadata_params": "dict",
        "engine_params": "dict",
        "metadata_cache_timeout": "dict",
        "schemas_allowed_for_csv_upload": "any",
        "schemas_allowed_for_file_upload": "any",  # older
        "cost_estimate_enabled": "bool",
        "allows_virtual_table_explore": "bool",
        "cancel_query_on_windows_unload": "bool",
        "disable_data_preview": "bool",
        "disable_drill_to_detail": "bool",
        "allow_multi_catalog": "bool",
        "per_user_caching": "bool",
        "version": "str?",
        "schema_options": "dict",
    },
    "ssh_tunnel": {
        "id": "int?",
        "server_address": "str",
        "server_port": "int",
        "username": "str",
        "password": "str",
        "private_key": "str",
        "private_key_password": "str",
    },
    "queries": {
        "catalog": "str?",
        "schema": "str?",
        "label": "str?",
        "description": "str?",
        "sql": "str*",
        "database_uuid": "uuid*",
        **_IDENTITY,
    },
    "themes": {"theme_name": "str*", "json_data": "any*", **_IDENTITY},
}

# Texts that the importer opens, or takes as empty, before it looks at their type (the schemas' `pre_load`, `CurrencyField`).
TEXT_TOO = {("datasets", "extra"), ("datasets", "template_params"), ("column", "extra"), ("metric", "extra"), ("metric", "currency")}
