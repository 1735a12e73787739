"""SeaweedFS: S3, Iceberg REST catalog, metrics."""

from __future__ import annotations

from stack.installation import VENVS, Installation
from stack.services.service import Service, get


def seaweedfs(stack: Installation) -> Service:
    """One process with all of SeaweedFS's servers."""
    weed, etc = VENVS / "stack" / "bin" / "weed", stack.etc / "seaweedfs"
    return Service(
        "seaweedfs",
        "SeaweedFS with its Iceberg REST catalog",
        [str(weed), "-logtostderr=true", f"-config_dir={etc}", "mini", f"-options={etc / 'mini.options'}"],
        ready=lambda: get(stack, "s3", "/").status_code < 500
         and get(stack, "iceberg_rest", "/v1/config?warehouse=s3://warehouse").status_code < 500,
        ports=(
            "s3", "s3_grpc", "iceberg_rest", "seaweedfs_master", "seaweedfs_master_grpc", "seaweedfs_volume",
            "seaweedfs_volume_grpc", "seaweedfs_filer", "seaweedfs_filer_grpc", "seaweedfs_admin",
            "seaweedfs_admin_grpc", "seaweedfs_metrics",
        ),
        directory=stack.data / "seaweedfs",
    )  # fmt: skip
