"""The image gallery, a Streamlit app."""

from __future__ import annotations

from stack.installation import REPO, VENVS, Installation
from stack.services.service import Service, get


def gallery(stack: Installation) -> Service:
    """One process; its settings file has a key that can only read."""
    etc = stack.etc / "gallery"
    return Service(
        "gallery",
        "Image gallery",
        [str(VENVS / "gallery" / "bin" / "streamlit"), "run", str(REPO / "include" / "gallery" / "app.py")],
        ready=lambda: get(stack, "gallery", "/_stcore/health").text == "ok",
        ports=("gallery",),
        # Streamlit finds its own settings in the folder that it runs in.
        environment={"PYTHONPATH": str(REPO), "LAKEHOUSE_GALLERY": str(etc / "gallery.json"), "TZ": "UTC"},
        directory=etc,
    )
