"""Superset's users and the Viewer role; run once per installation inside Superset's environment.

Viewer is Gamma (see boards, change nothing) plus the right to read every data source. The passwords come by environment.
"""

import os

from superset.app import create_app

app = create_app()
with app.app_context():
    from superset.extensions import db, security_manager

    viewer = security_manager.add_role("Viewer")
    gamma = security_manager.find_role("Gamma")
    every_source = security_manager.find_permission_view_menu("all_datasource_access", "all_datasource_access")
    viewer.permissions = [*gamma.permissions, every_source]
    db.session.commit()
    for name, role in (("admin", "Admin"), ("viewer", "Viewer")):
        password = os.environ[f"SUPERSET_{name.upper()}_PASSWORD"]
        user = security_manager.find_user(name)
        if user is None:
            security_manager.add_user(name, name.title(), "Lakehouse", f"{name}@localhost", security_manager.find_role(role), password)
        else:
            security_manager.reset_password(user.id, password)
