"""Superset's users and empty roles; run inside Superset's environment when an installation starts for the first time.

A role's permissions come from `include/dashboards/superset/security/roles/`, by `sync_dashboards`: a role that is there is left as it is.
The passwords come by environment.
"""

import os

from superset.app import create_app

app = create_app()
with app.app_context():
    from superset.extensions import security_manager

    for name, role in (("admin", "Admin"), ("analyst", "Analyst"), ("viewer", "Viewer"), ("developer", "Developer"), ("ops", "Ops")):
        password = os.environ[f"SUPERSET_{name.upper()}_PASSWORD"]
        # Returns the role that is there.
        its_role = security_manager.add_role(role)
        user = security_manager.find_user(name)
        if user is None:
            security_manager.add_user(name, name.title(), "Lakehouse", f"{name}@localhost", its_role, password)
        else:
            security_manager.reset_password(user.id, password)
