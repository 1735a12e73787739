"""The image gallery: what it shows and how.

Streamlit runs `app.py`. Only `app`, `frame`, `cached`, `cards`, `asking` and `views` know of Streamlit; the rest is plain Python.
"""
