"""The bundle's own tables (`ops_db`): what was loaded, refused, shipped, checked and measured."""
